"""Work that may wait long for somebody else, on threads of its own: the others stay free for the quick."""

import asyncio
from collections.abc import Callable
from threading import BoundedSemaphore
from typing import Any, TypeVar

from bonafide.serving.compute.pool import Pool
from bonafide.serving.errors import Overloaded

RETRY_SECONDS = 5

Result = TypeVar("Result")


class Aside:
    """So many threads, and so many calls that they hold or that wait for them.

    Args:
        name: of what the calls wait for.
    """

    def __init__(self, name: str, threads: int, most: int) -> None:
        self._name = name
        self._pool = Pool(threads, thread_name_prefix=name)
        self._free = BoundedSemaphore(most)

    async def do(self, use: Callable[..., Result], *given: Any) -> Result:
        """Call ``use`` on a thread.

        Raises:
            Overloaded: there are too many calls.
        """
        if not self._free.acquire(blocking=False):
            raise Overloaded(f"too many requests wait for {self._name}; try again", RETRY_SECONDS, self._name)
        future = self._pool.submit(use, *given)
        future.add_done_callback(lambda _: self._free.release())
        result: Result = await asyncio.wrap_future(future)
        return result

"""Threads that let go of work that nobody waits for any more."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


class Pool(ThreadPoolExecutor):
    """A cancelled future gives up its arguments at once, and not when its place in the queue comes."""

    def submit(self, work: Callable[..., Any], /, *arguments: Any) -> Future[Any]:  # type: ignore[override]
        """Call ``work`` with ``arguments`` on a thread."""
        held = list(arguments)
        future = super().submit(_run, work, held)
        future.add_done_callback(lambda _: held.clear())
        return future


def _run(work: Callable[..., Any], held: list[Any]) -> Any:
    return work(*held)

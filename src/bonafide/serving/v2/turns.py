"""A few clients at a time, none of which can keep the others out by doing nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class Turns:
    """At most ``most`` turns at once. While others wait, each may last ``fair_seconds``.

    Args:
        seconds: until a turn, with the wait before it, is over.
    """

    def __init__(self, most: int, seconds: float, fair_seconds: float) -> None:
        self._room = asyncio.Semaphore(most)
        self._seconds = seconds
        self._fair_seconds = fair_seconds
        self._begun: dict[asyncio.Timeout, float] = {}
        self._waiting = 0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn and have it.

        Raises:
            TimeoutError: it took too long.
        """
        async with asyncio.timeout(self._seconds) as patience:
            await self._wait()
            self._begun[patience] = asyncio.get_running_loop().time()
            self._share()
            try:
                yield
            finally:
                del self._begun[patience]
                self._room.release()

    async def _wait(self) -> None:
        self._waiting += 1
        try:
            if self._room.locked():
                self._share()
            await self._room.acquire()
        finally:
            self._waiting -= 1

    def _share(self) -> None:
        """Bound the turns under way, if somebody waits; one that is over already is not asked again."""
        if not self._waiting:
            return
        for patience, begun in self._begun.items():
            end = begun + self._fair_seconds
            if (until := patience.when()) is None or until > end:
                with suppress(RuntimeError):
                    patience.reschedule(end)

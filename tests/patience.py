"""Waiting for what is bound to come, but not for ever."""

import asyncio
import time

PATIENCE_SECONDS = 60


def until(look, wanted=bool, seconds=PATIENCE_SECONDS):
    """The first value of ``look()`` that is wanted: one that is true, or one that ``wanted`` is true of."""
    end = time.monotonic() + seconds
    while not wanted(found := look()):
        assert time.monotonic() < end, f"after {seconds} s still {found!r}"
        time.sleep(0.05)
    return found


async def until_async(condition):
    """As :func:`until`, on the event loop."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            await asyncio.sleep(0.01)

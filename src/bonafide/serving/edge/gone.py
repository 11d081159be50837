"""Clients that leave before they are answered."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.types import Receive


@asynccontextmanager
async def cancelled_without_client(receive: Receive) -> AsyncIterator[None]:
    """Cancel the block when the client leaves; uvicorn lets it run on: nobody would read its answer."""
    task = asyncio.current_task()
    assert task is not None

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        task.cancel()

    watcher = asyncio.create_task(watch())
    try:
        yield
    finally:
        watcher.cancel()

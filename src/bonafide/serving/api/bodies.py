"""Bodies of requests, within limits and within a budget for each caller."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Request
from starlette.requests import ClientDisconnect

from bonafide.serving.api.rates import address
from bonafide.serving.edge import body
from bonafide.serving.edge.body import Budget, Buffer
from bonafide.serving.edge.gone import cancelled_without_client
from bonafide.serving.edge.limits import Limits


class Bodies:
    """Reads bodies.

    Args:
        growth: how many times a body's size is taken beside it by what is read from it.
    """

    def __init__(self, limits: Limits, growth: int = 0) -> None:
        self._limits = limits
        self._growth = growth
        self._budget = Budget(limits.held, each=limits.held // 2)

    @asynccontextmanager
    async def of(self, request: Request) -> AsyncIterator[Buffer]:
        """The request's body; the block is given up when the client leaves.

        Raises:
            RequestError, Overloaded, ClientDisconnect: as :func:`bonafide.serving.edge.body.read`.
        """
        caller = request.scope["state"].get("subject") or address(request)
        with self._budget.share(caller) as take:
            content = await body.read(request, self._limits, take)
            take(self._growth * len(content))
            try:
                async with cancelled_without_client(request.receive):
                    yield content
            except asyncio.CancelledError:
                raise ClientDisconnect from None

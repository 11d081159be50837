"""Runs the service API until told to stop."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from http import HTTPStatus

import uvloop
from fastapi import FastAPI
from starlette.responses import Response

from bonafide.serving.api import problems
from bonafide.serving.edge.http import Protocol
from bonafide.serving.edge.ids import ID_HEADER, identify
from bonafide.serving.edge.limits import Limits
from bonafide.serving.edge.refused import counter
from bonafide.serving.edge.running import address, beside, http_server, listen


class _Protocol(Protocol):
    health = (b"/health", b"/ready")

    def refusal(self, status: int, message: str) -> Response:
        headers = {"Connection": "close", ID_HEADER: identify(None)}
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            headers["Retry-After"] = "1"
        path = self.url.partition(b"?")[0].decode("latin-1")
        return problems.response(problems.Problem(status, message, headers), path)


def serve(
    app: FastAPI,
    limits: Limits,
    *,
    host: str,
    port: int,
    trusted_proxies: str,
    announce: Callable[[str], None],
    background: Sequence[Callable[[], Awaitable[None]]] = (),
) -> None:
    """Serve until SIGTERM or SIGINT, then finish the requests that have begun.

    Args:
        port: 0 takes a free one.
        trusted_proxies: addresses and networks, with commas, whose ``X-Forwarded-For`` is believed.
        announce: called with the address, once requests are answered.
        background: run beside the server, on its event loop, and are cancelled when it stops.

    Raises:
        BonafideError: the port cannot be had.
    """
    protocol = partial(_Protocol, limits, counter("api"))
    server = http_server(app, protocol, limits, lifespan="on", trusted_proxies=trusted_proxies)

    async def run() -> None:
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, setattr, server, "should_exit", True)
        async with beside(background):
            announce(f"http://{address(host, listener.getsockname()[1])}")
            await server.serve(sockets=[listener])

    with listen(host, port) as listener, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())

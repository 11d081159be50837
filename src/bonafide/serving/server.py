"""``bonafide serve``: answers over REST and gRPC until told to stop."""

import asyncio
import gc
import signal
import socket
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import uvicorn
import uvloop

from bonafide.serving.edge.body import Budget
from bonafide.serving.edge.http import Protocol
from bonafide.serving.edge.limits import Limits
from bonafide.serving.edge.refused import counter
from bonafide.serving.edge.running import address, beside, http_server, listen
from bonafide.serving.models.versions import Models
from bonafide.serving.v2 import rest, rpc


def serve(
    models: Models,
    *,
    host: str,
    http_port: int,
    grpc_port: int,
    announce: Callable[[str], None],
    background: Sequence[Callable[[], Awaitable[None]]] = (),
) -> None:
    """Serve until SIGTERM or SIGINT, then say unready and finish the requests that have begun.

    Args:
        http_port: 0 takes a free one, as does ``grpc_port``.
        announce: called with a sentence that names both addresses, once requests are answered.
        background: run beside the servers, on their event loop, and are cancelled when those stop.

    Raises:
        BonafideError: a port cannot be had.
    """
    gc.collect()
    gc.freeze()  # what is loaded stays; looking through it for garbage halts every request
    with listen(host, http_port) as listener, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(models, listener, host, grpc_port, announce, background))


async def _serve(
    models: Models,
    listener: socket.socket,
    host: str,
    grpc_port: int,
    announce: Callable[[str], None],
    background: Sequence[Callable[[], Awaitable[None]]],
) -> None:
    limits = Limits()
    budget = Budget(limits.held)
    rest_server = rest_server_of(models, limits, budget)
    grpc_server = rpc.Server(models, limits, budget, host, grpc_port)
    stopping = asyncio.Event()

    def stop() -> None:
        models.draining = True
        stopping.set()

    async def drain() -> None:
        await stopping.wait()
        rest_server.should_exit = True
        await grpc_server.drain(limits.grace_seconds)

    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop)
    await grpc_server.start()
    async with beside([grpc_server.health.follow, *background]):
        announce(
            f"REST at http://{address(host, listener.getsockname()[1])}, "
            f"gRPC at {address(host, grpc_server.port)}"
        )
        await asyncio.gather(rest_server.serve(sockets=[listener]), drain())


def rest_server_of(models: Models, limits: Limits, budget: Budget) -> uvicorn.Server:
    """The HTTP server, which handles no signals; ``should_exit`` ends it."""
    protocol = partial(Protocol, limits, counter("rest", lambda: models.names))
    return http_server(rest.create_app(models, limits, budget), protocol, limits, lifespan="off")

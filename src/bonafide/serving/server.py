"""``bonafide serve``: answers over REST and gRPC until told to stop."""

import asyncio
import contextlib
import gc
import logging
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

import uvicorn
import uvloop

from bonafide.errors import BonafideError
from bonafide.serving.edge import http
from bonafide.serving.edge.body import Budget
from bonafide.serving.edge.limits import Limits
from bonafide.serving.edge.refused import counter
from bonafide.serving.models.versions import Models
from bonafide.serving.v2 import rest, rpc

logger = logging.getLogger(__name__)


class Unsignalled(uvicorn.Server):
    """An HTTP server whose ``should_exit`` is set by somebody else."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing: signals are handled where all that they stop is known."""
        yield


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
    config = uvicorn.Config(
        rest.create_app(models, limits, budget),
        http=http.bounded(limits, counter("rest", lambda: models.names)),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        log_level="error",  # what clients do wrong is counted
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=limits.keep_alive_seconds,
        timeout_graceful_shutdown=limits.grace_seconds,
    )
    return Unsignalled(config)


@contextlib.asynccontextmanager
async def beside(works: Sequence[Callable[[], Awaitable[None]]]) -> AsyncIterator[None]:
    """Run tasks while the block runs; one that fails is logged, the others go on."""

    async def guarded(work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except Exception:
            logger.exception("a background task failed")

    tasks = [asyncio.create_task(guarded(work)) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; TCP is named so that asyncio turns Nagle's algorithm off, 40 ms an answer.

    Raises:
        BonafideError: the address is taken or not one of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen()
    except (OSError, UnicodeError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or error
        raise BonafideError(
            f"cannot listen on {address(host, port)}: {reason}; choose another host or port"
        ) from error
    return listener


def address(host: str, port: int) -> str:
    """As it stands in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

"""What a server needs to run: a socket, the work beside it, an end that somebody else decides on."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Any, Literal

import uvicorn
from starlette.types import ASGIApp

from bonafide.errors import BonafideError
from bonafide.serving.edge.limits import Limits

logger = logging.getLogger(__name__)


class Unsignalled(uvicorn.Server):
    """An HTTP server whose ``should_exit`` is set by somebody else."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing: signals are handled where all that they stop is known."""
        yield


def http_server(
    app: ASGIApp, protocol: Any, limits: Limits, *, lifespan: Literal["on", "off"], trusted_proxies: str = ""
) -> uvicorn.Server:
    """An HTTP server, which handles no signals; ``should_exit`` ends it.

    Args:
        protocol: what makes a :class:`bonafide.serving.edge.http.Protocol` of uvicorn's options.
        trusted_proxies: addresses and networks, with commas, whose ``X-Forwarded-For`` is believed.
    """
    config = uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        lifespan=lifespan,
        log_config=None,
        access_log=False,
        log_level="error",  # what clients do wrong is counted
        proxy_headers=bool(trusted_proxies),
        forwarded_allow_ips=trusted_proxies,
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

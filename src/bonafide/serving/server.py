"""``bonafide serve``: verify a package, load it, answer over REST and gRPC until told to stop."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import uvicorn
from kserve import ModelRepository
from kserve.protocol.dataplane import DataPlane

import bonafide
from bonafide.errors import BonafideError
from bonafide.model.runtime import available_cores
from bonafide.serving.v2 import rest, rpc
from bonafide.serving.engine import Engine
from bonafide.serving.predictor import Predictor

MAXIMUM_BYTES = 64 * 2**20
GRACE_SECONDS = 20
KEEP_ALIVE_SECONDS = 65


class _DataPlane(DataPlane):  # type: ignore[misc]
    def metadata(self) -> dict[str, object]:
        return {
            "name": "bonafide",
            "version": bonafide.__version__,
            "extensions": ["binary_tensor_data"],
        }

    async def ready(self) -> bool:
        return all(model.ready for model in self.model_registry.get_models().values())


class _Rest(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals stop both servers, so they are handled where both are known."""
        yield


def serve(
    package: Path,
    public_key: Path,
    *,
    host: str,
    http_port: int,
    grpc_port: int,
    version: str,
    variant: str,
    announce: Callable[[str], None],
) -> None:
    """Serve until SIGTERM or SIGINT, then finish the requests that have begun.

    Each of as many workers as there are cores runs the model on one thread.

    Args:
        http_port: 0 takes a free one, as does ``grpc_port``.
        version: told in every response; the first 12 digits of the model's digest if empty.
        announce: called with a sentence that names both addresses, once requests are answered.

    Raises:
        PackageError: the package is refused; nothing was served.
        BonafideError: a port cannot be had.
    """
    engine = Engine(package, public_key, threads=1)
    predictor = Predictor(engine, version or engine.info.model_digest[:12], variant, available_cores())
    predictor.load()
    registry = ModelRepository()
    registry.update(predictor)
    with _listen(host, http_port) as listener:
        asyncio.run(_serve(_DataPlane(registry), listener, host, grpc_port, announce))
    predictor.stop()


async def _serve(
    dataplane: DataPlane, listener: socket.socket, host: str, grpc_port: int, announce: Callable[[str], None]
) -> None:
    config = uvicorn.Config(
        rest.create_app(dataplane, MAXIMUM_BYTES),
        log_level="warning",
        timeout_graceful_shutdown=GRACE_SECONDS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )
    http = _Rest(config)
    grpc, grpc_port = rpc.create_server(dataplane, host, grpc_port, MAXIMUM_BYTES)
    stopping = asyncio.Event()

    def stop() -> None:
        http.should_exit = True
        stopping.set()

    async def drain() -> None:
        await stopping.wait()
        await grpc.stop(GRACE_SECONDS)

    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop)
    await grpc.start()
    announce(
        f"REST at http://{_address(host, listener.getsockname()[1])}, gRPC at {_address(host, grpc_port)}"
    )
    await asyncio.gather(http.serve(sockets=[listener]), drain())


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket; TCP is named so that asyncio turns Nagle's algorithm off, 40 ms an answer."""
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
            f"cannot listen on {_address(host, port)}: {reason}; choose another --host or --http-port"
        ) from error
    return listener


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

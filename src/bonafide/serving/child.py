"""A server as a child process, for as long as somebody needs it."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bonafide.errors import BonafideError

# A kill of the parent closes the pipe that the child holds as its standard input.
_BOUND = "from bonafide.serving.child import end_with_parent; end_with_parent();"
_MAIN = "from bonafide.cli.main import main; main()"
_ANNOUNCED = re.compile(r"REST at (?P<rest>\S+), gRPC at (?P<grpc>\S+)")
_GRACE_SECONDS = 10


@dataclass(frozen=True)
class Served:
    """Addresses of a running server; :meth:`wait` returns when it stops."""

    url: str
    grpc: str
    process: subprocess.Popen[str]

    def wait(self) -> None:
        """Until the server stops or Ctrl-C."""
        self.process.wait()


def command(package: Path, version: str, *options: str) -> list[str]:
    """What serves a package, and ends when its standard input does: give it a pipe."""
    return [sys.executable, "-c", _BOUND + _MAIN, "serve", str(package), "--version", version, *options]


def announced(line: str) -> tuple[str, str] | None:
    """The addresses, REST and gRPC, in the first line that a server prints."""
    found = _ANNOUNCED.search(line)
    return (found["rest"], found["grpc"]) if found else None


def end_with_parent() -> None:
    """Have this process told to stop once nobody holds the other end of its standard input."""

    def wait() -> None:
        while os.read(sys.stdin.fileno(), 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()


@contextmanager
def served(package: Path, version: str, http_port: int = 0, grpc_port: int = 0) -> Iterator[Served]:
    """Serve ``package`` on free ports (or the given ones) and stop when the block ends.

    Raises:
        BonafideError: the server refused the package or could not start; says what it said.
    """
    given = command(package, version, "--http-port", str(http_port), "--grpc-port", str(grpc_port))
    with tempfile.TemporaryFile("w+") as log:  # a pipe that nobody reads would stop the server once full
        process = subprocess.Popen(  # noqa: S603  (our own command, no shell)
            given, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        )
        try:
            assert process.stdout
            addresses = announced(process.stdout.readline())
            if addresses is None:
                log.seek(0)
                raise BonafideError(f"the server did not start: {log.read().strip()[-500:]}")
            yield Served(*addresses, process)
        finally:
            _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()

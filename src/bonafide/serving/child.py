"""A server as a child process, for as long as somebody needs it."""

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bonafide.errors import BonafideError

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


@contextmanager
def served(package: Path, version: str, http_port: int = 0, grpc_port: int = 0) -> Iterator[Served]:
    """Serve ``package`` on free ports (or the given ones) and stop when the block ends.

    Raises:
        BonafideError: the server refused the package or could not start; says what it said.
    """
    command = [sys.executable, "-m", "bonafide", "serve", str(package), "--version", version]
    command += ["--http-port", str(http_port), "--grpc-port", str(grpc_port)]
    with tempfile.TemporaryFile("w+") as log:  # a pipe that nobody reads would stop the server once full
        process = subprocess.Popen(  # noqa: S603  (our own command, no shell)
            command, stdout=subprocess.PIPE, stderr=log, text=True
        )
        try:
            assert process.stdout
            announced = _ANNOUNCED.search(process.stdout.readline())
            if announced is None:
                log.seek(0)
                raise BonafideError(f"the server did not start: {log.read().strip()[-500:]}")
            yield Served(announced["rest"], announced["grpc"], process)
        finally:
            _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()

"""A server as a child process, for as long as somebody needs it."""

import re
import subprocess
import sys
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
    process = subprocess.Popen(  # noqa: S603  (our own command, no shell)
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout and process.stderr
        announced = _ANNOUNCED.search(process.stdout.readline())
        if announced is None:
            raise BonafideError(f"the server did not start: {process.stderr.read().strip()[-500:]}")
        yield Served(announced["rest"], announced["grpc"], process)
    finally:
        process.terminate()
        try:
            process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()

"""A PostgreSQL of the tests' own: a cluster in a temporary folder, at a free port."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

INSTALLED = Path("/usr/lib/postgresql")
SETTINGS = ("-c", "fsync=off", "-c", "listen_addresses=127.0.0.1", "-c", "max_connections=100")


def programs() -> Path:
    """The folder of the newest version's programs."""
    found = sorted(INSTALLED.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not found:
        pytest.skip("postgresql is not installed")
    return found[-1].parent


class Server:
    """Can be stopped and started again at the same port; ``address`` is that of a database."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._programs, self._folder, self._options = programs(), folder, options
        self._who = {"user": "postgres"} if os.geteuid() == 0 else {}
        if self._who:
            owner = pwd.getpwnam("postgres")
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._run("initdb", "--auth=trust", "--username=tests", "--no-sync", "--encoding=UTF8", "--locale=C")

    def start(self) -> None:
        options = " ".join((*SETTINGS, *self._options, "-p", str(self.port), "-k", str(self._folder)))
        self._run(
            "pg_ctl", "start", "--wait", "--silent", f"--log={self._folder / 'log'}", f"--options={options}"
        )

    def stop(self, mode: str = "immediate") -> None:
        self._run("pg_ctl", "stop", "--wait", "--silent", f"--mode={mode}")

    def address(self, database: str) -> str:
        return f"postgresql://tests@127.0.0.1:{self.port}/{database}"

    def execute(self, statement: str) -> None:
        """One that is allowed in no transaction, too."""
        import pg8000.dbapi

        connection = pg8000.dbapi.connect("tests", host="127.0.0.1", port=self.port, database="postgres")
        try:
            connection.autocommit = True
            connection.cursor().execute(statement)
        finally:
            connection.close()

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), f"--pgdata={self._folder / 'data'}", *arguments]
        subprocess.run(command, check=True, cwd=self._folder, stdout=subprocess.DEVNULL, **self._who)


@contextmanager
def serving(*options: str) -> Iterator[Server]:
    """A server that runs; its folder is where another user may go, which pytest's is not."""
    programs()
    folder = Path(tempfile.mkdtemp(prefix="bonafide-postgresql-"))
    try:
        server = Server(folder, *options)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)

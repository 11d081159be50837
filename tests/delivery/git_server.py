"""Git over HTTP with a token: git's own http-backend behind a server that can be away for a while."""

import base64
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests import http_server

TOKEN = "hush-hush"
Api = Callable[[str, str, Mapping[str, str], bytes], tuple[int, bytes]]
AUTHORIZATION = "Basic " + base64.b64encode(f"bonafide:{TOKEN}".encode()).decode()


@dataclass
class GitServer:
    """``url`` is of a bare repository in ``folder``; the next ``failures`` requests are answered 503."""

    url: str
    folder: Path
    failures: int = 0
    asked: list[str] = field(default_factory=list)

    def credentials(self, authorization: str = AUTHORIZATION) -> dict[str, str]:
        """The environment that makes Git show the token, without touching the address."""
        return {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"http.{self.url}.extraHeader",
            "GIT_CONFIG_VALUE_0": f"Authorization: {authorization}",
        }

    def named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Deliver here, with the token."""
        for name, value in {**self.credentials(), "BONAFIDE_DELIVERY": self.url}.items():
            monkeypatch.setenv(name, value)


@contextmanager
def served(root: Path, name: str = "delivery.git", api: Api | None = None) -> Iterator[GitServer]:
    """Serve ``root/NAME``, made here.

    Args:
        api: answers to method, path, headers and body of what is asked under ``/api/``.
    """
    folder = root / name
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", folder], check=True)
    subprocess.run(["git", "-C", folder, "config", "http.receivepack", "true"], check=True)

    class Handler(http_server.Handler):
        def answer(self) -> None:
            body = self.body()
            state.asked.append(self.path)
            if state.failures:
                state.failures -= 1
                self.send_error(503)
            elif api and self.path.startswith("/api/"):
                status, content = api(self.command, self.path, self.headers, body)
                self.reply(status, {"Content-Type": "application/json"}, content)
            elif self.headers.get("Authorization") != AUTHORIZATION:
                self.reply(401, {"WWW-Authenticate": 'Basic realm="git"'}, b"")
            else:
                self.pass_on(body)

        def pass_on(self, body: bytes) -> None:
            path, _, query = self.path.partition("?")
            environment = {
                "PATH": os.environ["PATH"],
                "GIT_PROJECT_ROOT": str(root),
                "GIT_HTTP_EXPORT_ALL": "1",
                "REQUEST_METHOD": self.command,
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "CONTENT_LENGTH": str(len(body)),
                "REMOTE_USER": "bonafide",
            }
            found = subprocess.run(
                ["git", "http-backend"], input=body, env=environment, capture_output=True, check=True
            )
            head, _, content = found.stdout.partition(b"\r\n\r\n")
            headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
            self.reply(int(headers.pop("Status", "200 OK").split()[0]), headers, content)

    with http_server.serving(Handler) as url:
        state = GitServer(f"{url}/{name}", folder)
        yield state

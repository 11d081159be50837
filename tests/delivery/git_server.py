"""Git over HTTP with a token: git's own http-backend behind a server that can be away for a while."""

import base64
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

TOKEN = "hush-hush"
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


@contextmanager
def served(root: Path) -> Iterator[GitServer]:
    """Serve ``root/delivery.git``, made here."""
    folder = root / "delivery.git"
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", folder], check=True)
    subprocess.run(["git", "-C", folder, "config", "http.receivepack", "true"], check=True)

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            state.asked.append(self.path)
            if state.failures:
                state.failures -= 1
                self.send_error(503)
            elif self.headers.get("Authorization") != AUTHORIZATION:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="git"')
                self.send_header("Content-Length", "0")
                self.end_headers()
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
            self.send_response(int(headers.pop("Status", "200 OK").split()[0]))
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = answer  # noqa: N815

        def log_message(self, *_) -> None:
            """Nothing is printed."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        state = GitServer(f"http://127.0.0.1:{server.server_port}/delivery.git", folder)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()

"""What the tests' HTTP servers share: a thread of their own, JSON in and out, errors as Google tells them."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


class RefusedError(Exception):
    """With the status that it is answered with."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Server(ThreadingHTTPServer):
    """Many may connect at once; the library's five are refused on a busy machine."""

    request_queue_size = 128


class Handler(BaseHTTPRequestHandler):
    """Each request is answered by :meth:`answer`, and nothing is printed."""

    def answer(self) -> None:
        raise NotImplementedError

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def reply(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self) -> None:
        self.answer()

    do_POST = do_DELETE = do_GET  # noqa: N815

    def log_message(self, *_) -> None:
        """Nothing is printed."""


class JsonHandler(Handler):
    """:meth:`ask` returns what is told, or raises RefusedError."""

    def ask(self, path: str, query: dict[str, list[str]], body: Any) -> Any:
        raise NotImplementedError

    def error(self, refused: RefusedError) -> Any:
        return {"error": {"code": refused.status, "message": str(refused)}}

    def answer(self) -> None:
        content, address = self.body(), urlsplit(self.path)
        body = json.loads(content) if content else None
        try:
            told, status = self.ask(address.path, parse_qs(address.query), body), 200
        except RefusedError as refused:
            told, status = self.error(refused), refused.status
        self.reply(status, {"Content-Type": "application/json"}, json.dumps(told).encode())


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve on a free port; gives the address."""
    with Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()

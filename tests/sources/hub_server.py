"""The Hugging Face Hub, as far as its client asks about a dataset: revisions, tree, files in storage."""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

TOKEN = "of-a-member"
RANGE = re.compile(r"bytes=(\d+)-")


@dataclass
class Hub:
    """``datasets`` holds files by dataset and commit, ``refs`` commits by dataset and branch.

    The next answer ends half-way for a file among ``breaks``, and waits half-way for one among ``holds``.
    """

    url: str = ""
    storage: str = ""
    datasets: dict[str, dict[str, dict[str, bytes]]] = field(default_factory=dict)
    refs: dict[str, dict[str, str]] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    breaks: set[str] = field(default_factory=set)
    holds: set[str] = field(default_factory=set)
    held: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)
    requests: list[tuple[str, str]] = field(default_factory=list)
    sent: list[tuple[str, int]] = field(default_factory=list)

    def commit(self, dataset: str, files: dict[str, bytes]) -> str:
        """Files as the newest commit of the dataset's branch ``main``."""
        commit = hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()
        self.datasets.setdefault(dataset, {})[commit] = files
        self.refs.setdefault(dataset, {})["main"] = commit
        return commit


@contextmanager
def running() -> Iterator[Hub]:
    hub = Hub()
    handler = type("HubHandler", (Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    hub.storage = f"http://localhost:{server.server_address[1]}"  # another host, which is told no token
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield hub
    hub.go_on.set()
    server.shutdown()
    server.server_close()


class RefusedError(Exception):
    """With the status and the code that the Hub names."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append((self.command, path))
        try:
            if found := re.fullmatch(r"/api/datasets/(.+/.+)/(revision|tree)/(.+)", path):
                self._about(*found.groups())
            elif found := re.fullmatch(r"/datasets/(.+/.+)/resolve/([^/]+)/(.+)", path):
                self._resolve(*found.groups())
            elif found := re.fullmatch(r"/storage/(.+/[^/]+)/([0-9a-f]{40})/(.+)", path):
                self._send_file(*found.groups())
            else:
                raise RefusedError(404, "EntryNotFound")
        except RefusedError as error:
            status, code = error.args
            self._answer(status, json.dumps({"error": code}).encode(), {"X-Error-Code": code})

    def _about(self, dataset: str, what: str, revision: str) -> None:
        commit, files = self._find(dataset, revision)
        if what == "revision":
            siblings = [{"rfilename": name} for name in files]
            told = {"id": dataset, "sha": commit, "private": False, "siblings": siblings}
        else:
            told = [
                {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                for name, content in files.items()
            ]
        self._answer(200, json.dumps(told).encode(), {"Content-Type": "application/json"})

    def _find(self, dataset: str, revision: str) -> tuple[str, dict[str, bytes]]:
        if dataset not in self.hub.datasets:
            raise RefusedError(404 if self._authorised() else 401, "RepoNotFound")
        commit = self.hub.refs[dataset].get(revision, revision)
        if commit not in self.hub.datasets[dataset]:
            raise RefusedError(404, "RevisionNotFound")
        return commit, self.hub.datasets[dataset][commit]

    def _authorised(self) -> bool:
        return "Authorization" in self.headers

    def _resolve(self, dataset: str, revision: str, name: str) -> None:
        """Large files lie elsewhere; the answer's headers say all about them."""
        commit, files = self._find(dataset, revision)
        if dataset in self.hub.gated and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            raise RefusedError(403 if self._authorised() else 401, "GatedRepo")
        headers = {
            "X-Repo-Commit": commit,
            "X-Linked-ETag": f'"{hashlib.sha256(files[name]).hexdigest()}"',
            "X-Linked-Size": str(len(files[name])),
            "Location": f"{self.hub.storage}/storage/{dataset}/{commit}/{name}",
        }
        self._answer(302, b"", headers)

    def _send_file(self, dataset: str, commit: str, name: str) -> None:
        if self._authorised():
            raise RefusedError(400, "TokenToldToStorage")
        content, start = self.hub.datasets[dataset][commit][name], 0
        if found := RANGE.match(self.headers.get("Range", "")):
            start = int(found[1])
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        half = (start + len(content)) // 2
        self._write(name, start, content[start:half])
        if name in self.hub.breaks:
            self.hub.breaks.remove(name)
            self.close_connection = True
            return
        if name in self.hub.holds:
            self.hub.holds.remove(name)
            self.hub.held.set()
            self.hub.go_on.wait()
        self._write(name, half, content[half:])

    def _write(self, name: str, start: int, content: bytes) -> None:
        self.wfile.write(content)
        self.wfile.flush()
        self.hub.sent.append((name, start))

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing on the terminal."""

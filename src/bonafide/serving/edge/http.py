"""uvicorn's HTTP protocol with limits on the header, on slow clients and on connections.

uvicorn has neither for httptools: https://github.com/Kludex/uvicorn/issues/157.
"""

from asyncio import TimerHandle, Transport
from http import HTTPStatus
from typing import Any

from starlette.responses import JSONResponse, Response
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from bonafide.serving.edge.limits import Limits
from bonafide.serving.edge.refused import Count
from bonafide.serving.edge.upgrade import WithoutUpgrade

CROWDED = "the server has too many connections; try again"


class Protocol(WithoutUpgrade):
    """One connection. What is refused here is answered with JSON and closes the connection.

    Args:
        limits: ``header``, ``connections``, ``pipelined`` and the times are held here.
        count: called for what is refused here.
        options: as uvicorn gives them.

    Attributes:
        health: what paths start with that are answered however many connections there are.
    """

    health: tuple[bytes, ...] = (b"/v2/health/",)

    def __init__(self, limits: Limits, count: Count, **options: Any) -> None:
        super().__init__(**options)
        self.count = count
        self._limits = limits
        self._own_app = self.app
        self._in_body = False
        self._unparsed = 0
        self._late: TimerHandle | None = None
        self._stuck: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Turn away what is far above the limit; else wait for the header."""
        super().connection_made(transport)
        if len(self.connections) > 2 * self._limits.connections:
            transport.abort()
        else:
            self._await_client()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clocks."""
        super().connection_lost(exc)
        for timer in (self._late, self._stuck):
            if timer:
                timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Feed the parser, unless something that it holds grows without end."""
        if self.transport.is_closing():
            return
        self._unparsed += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._unparsed > self._limits.header:
            self._refuse_header()
        else:
            self._await_client()

    def on_headers_complete(self) -> None:
        """Start the request; health is answered however many connections there are."""
        self._in_body, self._unparsed = True, 0
        size = len(self.url) + sum(len(name) + len(value) + len(": \r\n") for name, value in self.headers)
        if size > self._limits.header:
            self._refuse_header()
            raise ConnectionAbortedError
        if self.parser.should_upgrade():
            return
        if len(self.pipeline) >= self._limits.pipelined:
            self._refuse(HTTPStatus.BAD_REQUEST, "too many requests wait on this connection", "http")
            raise ConnectionAbortedError
        crowded = len(self.connections) > self._limits.connections and not self.url.startswith(self.health)
        self.app = self._own_app
        if crowded:
            self.app = self.refusal(HTTPStatus.SERVICE_UNAVAILABLE, CROWDED)
            self.count("overloaded", "connections")
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._unparsed = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The end of a request."""
        self._in_body, self._unparsed = False, 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """A client that is answered before its body ends may send on for a while only."""
        super().on_response_complete()
        if self._in_body:
            self._await_client()

    def pause_writing(self) -> None:
        """The client does not read its answer."""
        super().pause_writing()
        self._stuck = self.loop.call_later(self._limits.stall_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """It reads again."""
        super().resume_writing()
        if self._stuck:
            self._stuck.cancel()
            self._stuck = None

    def timeout_keep_alive_handler(self) -> None:
        """Closing waits until all is read, which a client may put off for ever."""
        self.transport.abort()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  (uvicorn's is plain text)
        """The parser failed; where one of its callbacks refused the request, that has been told."""
        if not self.transport.is_closing():
            self._refuse(HTTPStatus.BAD_REQUEST, "this is no valid HTTP request", "http")

    def refusal(self, status: int, message: str) -> Response:
        """What a client is told before the connection closes."""
        retry = {"retry-after": "1"} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
        return JSONResponse({"error": message}, status, {"connection": "close", **retry})

    def _refuse(self, status: HTTPStatus, message: str, reason: str) -> None:
        response = self.refusal(status, message)
        head = b"".join(name + b": " + value + b"\r\n" for name, value in response.raw_headers)
        self.transport.write(STATUS_LINE[status] + head + b"\r\n" + bytes(response.body))
        self.transport.close()
        self.count("refused", reason)

    def _refuse_header(self) -> None:
        message = f"the request line, headers or trailers are larger than {self._limits.header:,} bytes"
        self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, message, "header-too-large")

    def _await_client(self) -> None:
        """Run the clock while the client owes us the rest of something that nobody else waits for."""
        owes = self.cycle is None or self.cycle.response_complete
        if owes and self._late is None:
            self._late = self.loop.call_later(self._limits.header_seconds, self._too_late)
        elif not owes and self._late is not None:
            self._late.cancel()
            self._late = None

    def _too_late(self) -> None:
        self._late = None
        if self.transport.is_closing():
            return
        if self._in_body or not self._unparsed:
            self.transport.abort()
            return
        message = f"the header was not there within {self._limits.header_seconds:g} s"
        self._refuse(HTTPStatus.REQUEST_TIMEOUT, message, "timeout")

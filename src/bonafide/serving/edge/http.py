"""uvicorn's HTTP protocol with limits on the header, on slow clients and on connections.

uvicorn has neither for httptools: https://github.com/Kludex/uvicorn/issues/157.
"""

from asyncio import TimerHandle, Transport
from http import HTTPStatus
from typing import Any, cast

from starlette.responses import JSONResponse, Response
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from bonafide.serving.edge.limits import Limits
from bonafide.serving.edge.refused import Count
from bonafide.serving.edge.upgrade import WithoutUpgrade

CROWDED = "the server has too many connections; try again"


class _Refused(Exception):  # noqa: N818  (ends the parser, no error of ours)
    pass


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
        self._refusal = (HTTPStatus.BAD_REQUEST, "this is no valid HTTP request", "http")
        self._in_body = False
        self._header_size = 0
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
        """Feed the parser, unless a header grows without end."""
        if self.transport.is_closing():
            return
        self._unparsed += len(data)
        super().data_received(data)
        if not self.transport.is_closing():
            if not self._in_body and self._unparsed > self._limits.header:
                self._refuse_header()
                self.send_400_response("")
            self._await_client()

    def on_message_begin(self) -> None:
        """A request's first bytes."""
        super().on_message_begin()
        self._header_size = 0

    def on_url(self, url: bytes) -> None:
        """A part of the request line."""
        super().on_url(url)
        self._measure(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header or trailer."""
        super().on_header(name, value)
        self._measure(len(name) + len(value) + len(": \r\n"))

    def on_headers_complete(self) -> None:
        """Start the request; health is answered however many connections there are."""
        self._in_body, self._unparsed = True, 0
        if len(self.pipeline) >= self._limits.pipelined:
            self._refusal = (HTTPStatus.BAD_REQUEST, "too many requests wait on this connection", "http")
            raise _Refused
        crowded = len(self.connections) > self._limits.connections and not self.url.startswith(self.health)
        self.app = self._own_app
        if crowded:
            self.app = self.refusal(HTTPStatus.SERVICE_UNAVAILABLE, CROWDED)
            self.count("overloaded", "connections")
        super().on_headers_complete()

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
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            super().timeout_keep_alive_handler()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  (uvicorn's is plain text)
        """Say what was refused and close."""
        status, message, reason = self._refusal
        response = self.refusal(status, message)
        head = b"".join(name + b": " + value + b"\r\n" for name, value in response.raw_headers)
        self.transport.write(STATUS_LINE[status] + head + b"\r\n" + bytes(response.body))
        self.transport.close()
        self.count("refused", reason)

    def refusal(self, status: int, message: str) -> Response:
        """What a client is told before the connection closes."""
        retry = {"retry-after": "1"} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
        return JSONResponse({"error": message}, status, {"connection": "close", **retry})

    def _measure(self, size: int) -> None:
        self._header_size += size
        if self._header_size > self._limits.header:
            self._refuse_header()
            raise _Refused

    def _refuse_header(self) -> None:
        message = f"the request line and headers are larger than {self._limits.header:,} bytes"
        self._refusal = (HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, message, "header-too-large")

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
        self._refusal = (HTTPStatus.REQUEST_TIMEOUT, message, "timeout")
        self.send_400_response("")


def bounded(limits: Limits, count: Count, kind: type[Protocol] = Protocol) -> Any:
    """The protocol as uvicorn's ``http`` setting takes it."""

    def create(**options: Any) -> Protocol:
        return kind(limits, count, **options)

    return cast(Any, create)

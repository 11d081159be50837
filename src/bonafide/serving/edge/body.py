"""Reads the body of an HTTP request: inflated, within its limits, and within what all requests may hold."""

import asyncio
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive

from bonafide.serving.edge.limits import Limits
from bonafide.serving.errors import Overloaded, RequestError

WINDOW = {"gzip": 31, "deflate": 15}  # zlib's wbits for each content coding of RFC 9110
STEP = 4 * 2**20
RETRY_SECONDS = 1

Take = Callable[[int], None]
Buffer = bytes | bytearray


class Budget:
    """Bytes that all requests together may hold, and those of one caller; belongs to one event loop."""

    def __init__(self, size: int, each: int = 0) -> None:
        self._free = size
        self._each = each or size
        self._held: Counter[str] = Counter()

    @contextmanager
    def share(self, caller: str = "") -> Iterator[Take]:
        """What the given function takes is given back at the end of the block.

        Raises:
            Overloaded: by the function, if that many bytes are not there.
        """
        taken = 0

        def take(size: int) -> None:
            nonlocal taken
            if size > self._free:
                raise Overloaded("the server holds too many requests; try again", RETRY_SECONDS, "memory")
            if self._held[caller] + size > self._each:
                message = "the server holds too many requests of yours; wait for their answers"
                raise Overloaded(message, RETRY_SECONDS, "memory")
            self._free -= size
            self._held[caller] += size
            taken += size

        try:
            yield take
        finally:
            self._free += taken
            self._held[caller] -= taken
            if not self._held[caller]:
                del self._held[caller]


async def read(request: Request, limits: Limits, take: Take) -> Buffer:
    """The body, without its content coding.

    Raises:
        RequestError: 408 it stops coming, 413 it is too large, 415 its coding is unknown, 400 it is damaged.
        Overloaded: all requests together hold too much.
        ClientDisconnect: nobody waits for an answer.
    """
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding != "identity" and coding not in WINDOW:
        raise RequestError(f"content-encoding {coding!r} is not supported; use gzip, deflate or none", 415)
    content = await receive(request, limits, take)
    return content if coding == "identity" else await _inflate(content, coding, limits.body, take)


async def receive(request: Request, limits: Limits, take: Take) -> Buffer:
    """The body as it was sent.

    Raises:
        RequestError: 408 it stops coming, 413 it is too large.
        Overloaded: all requests together hold too much.
        ClientDisconnect: nobody waits for an answer.
    """
    if int(request.headers.get("content-length", 0)) > limits.body:
        raise _too_large(limits.body)
    try:
        async with asyncio.timeout(limits.upload_seconds):
            return await _receive(request.receive, limits, take)
    except TimeoutError:
        message = f"the body was not there within {limits.upload_seconds:g} s; send a smaller one"
        raise RequestError(message, 408, "timeout") from None


async def _receive(receive: Receive, limits: Limits, take: Take) -> Buffer:
    """Grown in place: chunks that are joined at the end would take twice their size."""
    content = bytearray()
    more = True
    while more:
        try:
            async with asyncio.timeout(limits.stall_seconds):
                message = await receive()
        except TimeoutError:
            silence = f"no byte of the body came for {limits.stall_seconds:g} s"
            raise RequestError(silence, 408, "timeout") from None
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk, more = message.get("body", b""), message.get("more_body", False)
        if len(content) + len(chunk) > limits.body:
            raise _too_large(limits.body)
        take(len(chunk))
        content += chunk
    return content


async def _inflate(content: Buffer, coding: str, maximum: int, take: Take) -> Buffer:
    """In steps on another thread, so that neither the event loop nor the memory is at a bomb's mercy."""
    inflater, rest = zlib.decompressobj(WINDOW[coding]), content
    inflated = bytearray()
    while not inflater.eof:
        try:
            part = await asyncio.to_thread(inflater.decompress, rest, STEP)
        except zlib.error as error:
            raise RequestError(f"the body is no {coding}: {error}") from error
        rest = inflater.unconsumed_tail
        if not part and not rest and not inflater.eof:
            raise RequestError(f"the body is no whole {coding}; it is cut off")
        if len(inflated) + len(part) > maximum:
            raise _too_large(maximum)
        take(len(part))
        inflated += part
    if inflater.unused_data:
        raise RequestError(f"{len(inflater.unused_data)} bytes follow the {coding} body")
    return inflated


def _too_large(maximum: int) -> RequestError:
    message = f"the request is larger than {maximum:,} bytes; send fewer or smaller images"
    return RequestError(message, 413, "too-large")

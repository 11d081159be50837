"""The one address in front of the predictors: requests are divided among them, bodies pass unchanged."""

import asyncio
import hashlib
import random
from collections.abc import Iterable

import httpx
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from bonafide.delivery.local.fleet import Fleet
from bonafide.delivery.local.predictor import Predictor
from bonafide.serving.edge import body
from bonafide.serving.edge.body import Budget
from bonafide.serving.edge.gone import cancelled_without_client
from bonafide.serving.edge.ids import ID_HEADER, PREDICTOR_HEADER
from bonafide.serving.edge.limits import Limits
from bonafide.serving.errors import Overloaded, RequestError
from bonafide.serving.v2 import failures

RETRY_SECONDS = 1
# Of one connection only (RFC 9110, section 7.6.1), and what each server says anew.
HOP_BY_HOP = {
    b"connection",
    b"date",
    b"expect",
    b"keep-alive",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
}

Headers = Iterable[tuple[bytes, bytes]]


class Front:
    """Passes each request on to one predictor, whole, and its answer back as it comes.

    Args:
        sticky: divide by the request's id instead of at random, so that an id stays with its predictor.
    """

    def __init__(self, fleet: Fleet, limits: Limits, sticky: bool) -> None:
        self._fleet = fleet
        self._limits = limits
        self._budget = Budget(limits.held)
        self._sticky = sticky

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        request = Request(scope, receive)
        with self._budget.share() as take:
            content = bytes(await body.receive(request, self._limits, take))
            predictor = self._chosen(request)
            with predictor.busy():
                await _pass_on(predictor, request, content, send)

    def _chosen(self, request: Request) -> Predictor:
        """From here to the request's end nothing may wait before the predictor knows that it is busy."""
        if name := request.headers.get(PREDICTOR_HEADER):
            if predictor := self._fleet.find(name):
                return predictor
            raise RequestError(f"no predictor {name!r} runs; {', '.join(self._fleet.split.percents())} do")
        predictor = self._fleet.split.choose(self._share(request))
        if predictor is None:
            raise Overloaded("the stable predictor is not ready", RETRY_SECONDS, "not-ready")
        return predictor

    def _share(self, request: Request) -> float:
        given = request.headers.get(ID_HEADER) if self._sticky else None
        if given is None:
            return random.random()  # noqa: S311  (nothing secret)
        return int.from_bytes(hashlib.sha256(given.encode()).digest()[:6]) / 2**48


def create_app(fleet: Fleet, limits: Limits, sticky: bool) -> ASGIApp:
    """The application; what it refuses is answered as a predictor does."""
    handlers = dict.fromkeys(failures.KINDS, failures.answer)
    return ExceptionMiddleware(Front(fleet, limits, sticky), handlers)


async def _pass_on(predictor: Predictor, request: Request, content: bytes, send: Send) -> None:
    asked = httpx.Request(
        request.method,
        httpx.URL(predictor.url).copy_with(raw_path=_target(request.scope)),
        headers=_end_to_end(request.headers.raw),
        content=content,
    )
    try:
        async with cancelled_without_client(request.receive):
            answer = await predictor.http.send(asked, stream=True)
    except asyncio.CancelledError:
        await _say_unavailable(request, send, "the server stops; ask another")
        return
    except httpx.HTTPError as error:
        message = f"predictor {predictor.name} does not answer: {type(error).__name__}"
        raise Overloaded(message, RETRY_SECONDS, "predictor") from error
    headers = [*_end_to_end(answer.headers.raw), (PREDICTOR_HEADER.encode(), predictor.name.encode())]
    try:
        await send({"type": "http.response.start", "status": answer.status_code, "headers": headers})
        async for part in answer.aiter_raw():
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    finally:
        await answer.aclose()


async def _say_unavailable(request: Request, send: Send, message: str) -> None:
    response: Response = failures.say(503, message, {"retry-after": str(RETRY_SECONDS)})
    await response(request.scope, request.receive, send)


def _target(scope: Scope) -> bytes:
    """Path and query, byte by byte."""
    query: bytes = scope["query_string"]
    path: bytes = scope["raw_path"]
    return path + b"?" + query if query else path


def _end_to_end(headers: Headers) -> list[tuple[bytes, bytes]]:
    headers = [(name.lower(), value) for name, value in headers]
    connection = b",".join(value for name, value in headers if name == b"connection").lower()
    own = HOP_BY_HOP.union(name.strip() for name in connection.split(b","))
    return [(name, value) for name, value in headers if name not in own]

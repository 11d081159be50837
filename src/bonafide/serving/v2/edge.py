"""What every HTTP answer has: an id, and ``{"error": …}`` where something went wrong."""

import re
import uuid
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import orjson
from kserve.errors import InvalidInput, ModelNotReady
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bonafide.serving.scheduler import Overloaded
from bonafide.serving.v2.question import RequestError
from bonafide.telemetry.logs import protocol, request_id

ID_HEADER = "x-request-id"
LONGEST_MESSAGE = 1000
_ID = re.compile(r"[\x21-\x7e]{1,128}", re.ASCII)

Handler = Callable[[Request, Any], Awaitable[Response]]


def identify(given: str | None) -> str:
    """Set the id of the request at hand: the client's, if it is printable and short, or a new one."""
    identity = given if given and _ID.fullmatch(given) else str(uuid.uuid4())
    request_id.set(identity)
    return identity


class Traced:
    """Gives each request its id and answers with it in ``X-Request-ID``."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        protocol.set("rest")
        given = next((value for name, value in scope["headers"] if name == ID_HEADER.encode()), b"")
        identity = identify(given.decode("latin-1")).encode()

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"].append((ID_HEADER.encode(), identity))
            await send(message)

        await self._app(scope, receive, send_with_id)


def say(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    """An error; what a client sent may stand in the message, so it is cut."""
    content = orjson.dumps({"error": message[:LONGEST_MESSAGE]})
    return Response(content, status, headers, "application/json")


def failures() -> dict[Any, Handler]:
    """What answers each exception, as Starlette takes it."""
    return {
        RequestError: _refused,
        InvalidInput: _invalid,
        Overloaded: _overloaded,
        ModelNotReady: _not_ready,
        ClientDisconnect: _left,
        HTTPException: _http,
        Exception: _internal,
    }


async def _refused(_: Request, error: RequestError) -> Response:
    late = error.status == HTTPStatus.REQUEST_TIMEOUT
    return say(error.status, str(error), {"connection": "close"} if late else None)


async def _invalid(_: Request, error: InvalidInput) -> Response:
    return say(HTTPStatus.BAD_REQUEST, str(error))


async def _overloaded(_: Request, error: Overloaded) -> Response:
    return say(HTTPStatus.SERVICE_UNAVAILABLE, str(error), {"retry-after": str(error.retry_after)})


async def _not_ready(_: Request, error: ModelNotReady) -> Response:
    return say(HTTPStatus.SERVICE_UNAVAILABLE, str(error), {"retry-after": "1"})


async def _left(_: Request, __: ClientDisconnect) -> Response:
    return say(HTTPStatus.BAD_REQUEST, "the client left")


async def _http(_: Request, error: HTTPException) -> Response:
    return say(error.status_code, error.detail, dict(error.headers or {}))


async def _internal(_: Request, __: Exception) -> Response:
    return say(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error; the server's log has the cause")

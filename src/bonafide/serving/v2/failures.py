"""What a client of the Open Inference Protocol is told over HTTP where something went wrong."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import orjson
from kserve.errors import InvalidInput
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from bonafide.serving.errors import Overloaded, RequestError

LONGEST_MESSAGE = 1000

Handler = Callable[[Request, Any], Awaitable[Response]]


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


async def _left(_: Request, __: ClientDisconnect) -> Response:
    return say(HTTPStatus.BAD_REQUEST, "the client left")


async def _http(_: Request, error: HTTPException) -> Response:
    return say(error.status_code, error.detail, dict(error.headers or {}))


async def _internal(_: Request, __: Exception) -> Response:
    return say(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error; the server's log has the cause")

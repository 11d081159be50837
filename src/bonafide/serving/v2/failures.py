"""What a client of the protocol is told over HTTP where something went wrong: ``{"error": …}``."""

from http import HTTPStatus

import orjson
from kserve.errors import InvalidInput
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from bonafide.serving.errors import Overloaded, RequestError

LONGEST_MESSAGE = 1000
KINDS = (RequestError, InvalidInput, Overloaded, ClientDisconnect, HTTPException, Exception)
"""What Starlette is to hand to :func:`answer`."""


def say(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    """An error; what a client sent may stand in the message, so it is cut."""
    content = orjson.dumps({"error": message[:LONGEST_MESSAGE]})
    return Response(content, status, headers, "application/json")


async def answer(_: Request, error: Exception) -> Response:
    """Status and message that fit an error; what we did wrong is in the log only."""
    match error:
        case RequestError():
            late = error.status == HTTPStatus.REQUEST_TIMEOUT
            return say(error.status, str(error), {"connection": "close"} if late else None)
        case InvalidInput():
            return say(HTTPStatus.BAD_REQUEST, str(error))
        case Overloaded():
            return say(HTTPStatus.SERVICE_UNAVAILABLE, str(error), {"retry-after": str(error.retry_after)})
        case ClientDisconnect():
            return say(HTTPStatus.BAD_REQUEST, "the client left")
        case HTTPException():
            return say(error.status_code, error.detail, dict(error.headers or {}))
        case _:
            message = "internal error; the server's log has the cause"
            return say(HTTPStatus.INTERNAL_SERVER_ERROR, message)

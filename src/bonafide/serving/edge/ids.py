"""Every request has an id, which its answer and the log lines about it carry."""

import re
import uuid
from contextvars import ContextVar

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bonafide.telemetry.logs import protocol, request_id

ID_HEADER = "x-request-id"
PREDICTOR_HEADER = "x-bonafide-predictor"
EVENT_HEADER = "ce-id"
"""By which KServe's logger calls a request and its answer; without it each gets an id of the logger's own."""

event_id: ContextVar[str] = ContextVar("event_id", default="")
"""The event that the request at hand is to be; empty where nobody cares."""

_ID = re.compile(r"[\x21-\x7e]{1,128}", re.ASCII)


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

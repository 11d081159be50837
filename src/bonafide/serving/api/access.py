"""Around every request: its id, its line in the log, its metrics, headers that keep browsers careful."""

import logging
from http import HTTPMethod
from time import perf_counter

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bonafide.serving.api.problems import Problem, response
from bonafide.serving.edge.ids import ID_HEADER, identify
from bonafide.telemetry import logs, metrics

GONE = 499
PROBES = ("/health", "/ready", "/metrics")
SECURITY = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

logger = logging.getLogger("bonafide.api.access")


class Access:
    """ASGI middleware; the outermost, so that what fails inside is told as a problem too."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope.setdefault("state", {})
        logs.protocol.set("api")
        identity = identify(Headers(scope=scope).get(ID_HEADER))
        begun, status = perf_counter(), 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers[ID_HEADER] = identity
                for name, value in (SECURITY | scope["state"].get("headers", {})).items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._app(scope, receive, answer)
        except ClientDisconnect:
            status = GONE
        except Exception:
            logger.exception("a request failed")
            if status:
                raise
            problem = Problem(500, "internal error; the log has the cause under this request id")
            await response(problem, scope["path"])(scope, receive, answer)
        finally:
            _note(scope, status or GONE, perf_counter() - begun)


def _note(scope: Scope, status: int, seconds: float) -> None:
    route = getattr(scope.get("route"), "path", "none")
    method = scope["method"] if scope["method"] in HTTPMethod.__members__ else "other"
    metrics.API_REQUESTS.labels(route, method, status).inc()
    metrics.API_SECONDS.labels(route).observe(seconds)
    level = logging.DEBUG if route in PROBES else logging.INFO
    seen = {"method": method, "route": route, "status": status, "ms": round(1000 * seconds, 2)}
    logger.log(level, "request", extra=seen | {"subject": scope["state"].get("subject", "")})

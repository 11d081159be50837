"""The HTTP side: kserve's endpoints for health and metadata, an own one for inference, and nothing else.

kserve's server also has v1 routes and lets any client unload the model; neither is offered here.
"""

import logging
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import HTTPException
from fastapi.responses import JSONResponse, Response
from kserve.errors import ModelNotFound, ModelNotReady, ServerNotReady
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.rest.server import metrics_handler
from kserve.protocol.rest.v2_endpoints import V2Endpoints
from starlette.exceptions import HTTPException as StarletteHTTPException

from bonafide.serving.v2 import wire
from bonafide.serving.v2.question import RequestError

logger = logging.getLogger(__name__)


def create_app(dataplane: DataPlane, maximum_bytes: int) -> FastAPI:
    """The application; a request body above ``maximum_bytes`` is refused while it is read."""
    app = FastAPI(title="Bonafide predictor", docs_url=None, redoc_url=None, openapi_url=None)
    v2 = V2Endpoints(dataplane)
    for path, endpoint in {
        "/v2": v2.metadata,
        "/v2/health/live": v2.live,
        "/v2/health/ready": v2.ready,
        "/v2/models": v2.models,
        "/v2/models/{model_name}": v2.model_metadata,
        "/v2/models/{model_name}/ready": v2.model_ready,
        "/metrics": metrics_handler,
    }.items():
        app.add_api_route(path, endpoint, methods=["GET"])

    async def infer(model_name: str, request: Request) -> Response:
        if not await dataplane.model_ready(model_name):
            raise ModelNotReady(model_name)
        body = await _body(request, maximum_bytes)
        question = wire.read(body, request.headers.get(wire.HEADER), model_name)
        response, _ = await dataplane.infer(model_name, question, dict(request.headers))
        content, headers = wire.write(response)
        return Response(content, headers=headers)

    app.add_api_route("/v2/models/{model_name}/infer", infer, methods=["POST"])
    _add_error_handlers(app)
    return app


async def _body(request: Request, maximum: int) -> bytes:
    encoding = request.headers.get("content-encoding", "identity")
    if encoding != "identity":
        raise RequestError(f"content-encoding {encoding!r} is not supported; send it as it is", 415)
    too_large = RequestError(
        f"the request is larger than {maximum:,} bytes; send fewer or smaller images", 413
    )
    if int(request.headers.get("content-length", 0)) > maximum:
        raise too_large
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > maximum:
            raise too_large
        chunks.append(chunk)
    return b"".join(chunks)


def _add_error_handlers(app: FastAPI) -> None:
    """Every error body is ``{"error": …}``, as the protocol has it."""

    def answer(status: int, message: str) -> JSONResponse:
        return JSONResponse({"error": message}, status)

    @app.exception_handler(RequestError)
    async def _(_: Request, error: RequestError) -> JSONResponse:
        return answer(error.status, str(error))

    @app.exception_handler(StarletteHTTPException)
    async def _(_: Request, error: HTTPException) -> JSONResponse:
        return answer(error.status_code, str(error.detail))

    @app.exception_handler(ModelNotFound)
    async def _(_: Request, error: Exception) -> JSONResponse:
        return answer(HTTPStatus.NOT_FOUND, f"{error} GET /v2/models lists those that do.")

    @app.exception_handler(ModelNotReady)
    @app.exception_handler(ServerNotReady)
    async def _(_: Request, error: Exception) -> JSONResponse:
        return answer(HTTPStatus.SERVICE_UNAVAILABLE, str(error))

    @app.exception_handler(Exception)
    async def _(_: Request, error: Exception) -> JSONResponse:
        logger.error("a request failed", exc_info=error)
        return answer(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error; the server's log has the cause")

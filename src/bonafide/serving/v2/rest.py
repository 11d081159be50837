"""The HTTP side of the Open Inference Protocol v2, with the model repository extension, and nothing else.

KServe's server also has v1 routes, lets any client unload a model, and has no repository index. Its endpoints
go through FastAPI, which costs more time than reading a small request.
"""

import asyncio

import orjson
from kserve import InferRequest
from pydantic import BaseModel, StrictBool
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from bonafide.serving.answer import Answer
from bonafide.serving.edge import body
from bonafide.serving.edge.body import Budget
from bonafide.serving.edge.gone import cancelled_without_client
from bonafide.serving.edge.ids import Traced
from bonafide.serving.edge.limits import Limits
from bonafide.serving.models.versions import Models
from bonafide.serving.v2 import failures, question, tensors, wire
from bonafide.serving.v2.failures import say
from bonafide.telemetry import metrics
from bonafide.telemetry.logs import request_id

GZIP_BYTES = 1024
MODEL = ("/v2/models/{model}", "/v2/models/{model}/versions/{version}")


class _Index(BaseModel):
    ready: StrictBool = False


class _Endpoints:
    def __init__(self, models: Models, limits: Limits, budget: Budget) -> None:
        self._models = models
        self._limits = limits
        self._budget = budget

    async def server(self, _: Request) -> Response:
        return _json(tensors.server())

    async def live(self, _: Request) -> Response:
        """Waits for nothing, however busy the models are: https://github.com/kserve/kserve/issues/3950."""
        return _json({"live": True})

    async def ready(self, _: Request) -> Response:
        if not self._models.ready:
            return say(503, "not ready: a model loads, or the server stops")
        return _json({"ready": True})

    async def models(self, _: Request) -> Response:
        return _json({"models": self._models.names})

    async def model(self, request: Request) -> Response:
        return _json(tensors.metadata(self._models.get(*_named(request)), self._models))

    async def model_ready(self, request: Request) -> Response:
        predictor = self._models.get(*_named(request))
        if self._models.draining or not predictor.ready:
            return say(503, f"model {predictor.name!r} is not ready")
        return _json({"name": predictor.name, "ready": True})

    async def infer(self, request: Request) -> Response:
        """The model is looked up once, so a request ends on the version that it began with."""
        try:
            answer, asked = await self._answered(request)
        except asyncio.CancelledError:
            return say(503, "the server stops; ask another")
        content, headers = wire.write(answer, asked)
        return Response(content, headers=headers)

    async def index(self, request: Request) -> Response:
        with self._budget.share() as take:
            content = await body.read(request, self._limits, take)
            take(len(content))
            asked = wire.parse(_Index, content or b"{}")
        return _json(self._models.index(asked.ready))

    async def load(self, request: Request) -> Response:
        name = request.path_params["model"]
        await self._models.load(name)
        return _json({"name": name, "load": True})

    async def unload(self, request: Request) -> Response:
        name = request.path_params["model"]
        await self._models.unload(name)
        return _json({"name": name, "unload": True})

    async def _answered(self, request: Request) -> tuple[Answer, InferRequest]:
        with self._models.asked(*_named(request)) as predictor, self._budget.share() as take:
            content = await body.read(request, self._limits, take)
            asked = wire.read(content, request.headers.get(wire.HEADER), predictor.name, take)
            del content  # JSON goes; binary tensors are views that keep it
            asked.id = asked.id or request_id.get()
            items, outputs = question.read(asked, predictor.info, predictor.shapes)
            async with cancelled_without_client(request.receive):
                return await predictor.answer(items, outputs), asked


def create_app(models: Models, limits: Limits, budget: Budget) -> ASGIApp:
    """The application. Answers above 1 KiB are compressed for clients that ask."""
    endpoints = _Endpoints(models, limits, budget)
    routes = [
        *(Route(f"{path}/infer", endpoints.infer, methods=["POST"]) for path in MODEL),
        *(Route(f"{path}/ready", endpoints.model_ready) for path in MODEL),
        *(Route(path, endpoints.model) for path in MODEL),
        Route("/v2", endpoints.server),
        Route("/v2/health/live", endpoints.live),
        Route("/v2/health/ready", endpoints.ready),
        Route("/v2/models", endpoints.models),
        Route("/v2/repository/index", endpoints.index, methods=["POST"]),
        Route("/v2/repository/models/{model}/load", endpoints.load, methods=["POST"]),
        Route("/v2/repository/models/{model}/unload", endpoints.unload, methods=["POST"]),
        Route("/metrics", _metrics),
    ]
    compress = Middleware(GZipMiddleware, minimum_size=GZIP_BYTES, compresslevel=1)
    app = Starlette(
        routes=routes,
        middleware=[compress],
        exception_handlers=dict.fromkeys(failures.KINDS, failures.answer),
    )
    app.router.redirect_slashes = False
    return Traced(app)


async def _metrics(request: Request) -> Response:
    content, kind = metrics.exposed(request.headers.get("accept", ""))
    return Response(content, headers={"content-type": kind})


def _named(request: Request) -> tuple[str, str]:
    return request.path_params["model"], request.path_params.get("version", "")


def _json(content: object) -> Response:
    return Response(orjson.dumps(content), media_type="application/json")

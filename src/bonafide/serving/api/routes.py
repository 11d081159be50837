"""The paths of the service API that tell how it is."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from bonafide.serving.api import contract, problems
from bonafide.serving.api.schemas import Status
from bonafide.serving.api.upstream import Upstream
from bonafide.telemetry import metrics


class Endpoints:
    """What each path does."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    async def health(self) -> Status:
        """Whether the service runs."""
        return Status(status="ok")

    async def ready(self) -> Status:
        """Whether a predictor would answer now."""
        if not await self._upstream.ready():
            raise problems.Problem(503, "the predictor is not ready", {"Retry-After": "1"})
        return Status(status="ready")

    async def metrics(self, request: Request) -> Response:
        """Metrics of this process, for Prometheus."""
        content, kind = metrics.exposed(request.headers.get("accept", ""))
        return Response(content, headers={"content-type": kind})


def router(endpoints: Endpoints) -> APIRouter:
    """Paths and what they answer."""
    router = APIRouter(generate_unique_id_function=lambda route: route.name)
    for path, probe, title, kind in (
        ("/health", endpoints.health, "Does it run?", {}),
        ("/ready", endpoints.ready, "Would it answer?", {"responses": contract.problems(503)}),
        ("/metrics", endpoints.metrics, "Metrics", contract.METRICS),
    ):
        router.add_api_route(path, probe, summary=title, tags=["service"], **kind)
    return router

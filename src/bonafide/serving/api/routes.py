"""The paths of the service API."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, Request, Security
from fastapi.responses import Response
from starlette.requests import ClientDisconnect

from bonafide.serving import overlay
from bonafide.serving.api import contract, problems, upload
from bonafide.serving.api.door import Door
from bonafide.serving.api.rates import address
from bonafide.serving.api.schemas import Batch, BatchItem, Explanation, Prediction, Status, verdict
from bonafide.serving.api.upstream import Upstream
from bonafide.serving.client import OUTPUTS
from bonafide.serving.compute.pool import Pool
from bonafide.serving.edge import body
from bonafide.serving.edge.body import Budget, Buffer
from bonafide.serving.edge.gone import cancelled_without_client
from bonafide.serving.edge.limits import Limits
from bonafide.serving.errors import Overloaded, RequestError
from bonafide.telemetry import metrics
from bonafide.telemetry.logs import request_id

AT_ONCE = 8
PAINTERS = 1  # it may hold a whole picture
BATCH = "/predict/batch"


class Endpoints:
    """What each path does; ``limits`` and a budget bound what bodies may take."""

    def __init__(self, upstream: Upstream, door: Door, limits: Limits) -> None:
        self._upstream = upstream
        self._door = door
        self._limits = limits
        self._budget = Budget(limits.held, each=limits.held // 2)
        self._painters = Pool(PAINTERS, thread_name_prefix="paint")

    async def predict(self, request: Request) -> Prediction:
        """Send one image, as a form or as the body itself."""
        async with self._body(request) as content:
            image = await upload.one(request, content)
            answer = await self._upstream.infer([image])
        return Prediction(request_id=request_id.get(), **dict(verdict(answer, 0)))

    async def explain(self, request: Request) -> Any:
        """Send one image; get its verdict, a heat map of the evidence, and that as a picture to lay over it.

        Where `Accept` asks for `image/png` first, the answer is the picture with the heat map in it instead.
        """
        accepts = request.headers.get("accept", "").strip().lower()
        paint = overlay.blended if accepts.startswith("image/") else overlay.layer
        async with self._body(request) as content:
            image = await upload.one(request, content)
            answer = await self._upstream.infer([image], (*OUTPUTS, "heatmap"))
            (heatmap,) = answer.outputs["heatmap"]
            loop = asyncio.get_running_loop()
            picture = await loop.run_in_executor(self._painters, paint, image, heatmap)
        if paint is overlay.blended:
            return Response(picture, media_type="image/png")
        return Explanation(
            request_id=request_id.get(),
            heatmap=heatmap.tolist(),
            overlay=base64.b64encode(picture).decode(),
            **dict(verdict(answer, 0)),
        )

    async def batch(self, request: Request) -> Batch:
        """Send up to 64 images; one that is refused does not spoil the others."""
        async with self._body(request) as content:
            images = await upload.several(request, content)
            if len(images) > 1:
                await self._door.count(request, len(images))
            return Batch(request_id=request_id.get(), results=await self._results(images))

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

    @asynccontextmanager
    async def _body(self, request: Request) -> AsyncIterator[Buffer]:
        """The request's body; the block is given up when the client leaves."""
        caller = request.scope["state"].get("subject") or address(request)
        with self._budget.share(caller) as take:
            content = await body.read(request, self._limits, take)
            try:
                async with cancelled_without_client(request.receive):
                    yield content
            except asyncio.CancelledError:
                raise ClientDisconnect from None

    async def _results(self, images: list[memoryview]) -> list[BatchItem]:
        """All at once; if one is refused each alone, so that the cost stays at twice that of good images."""
        try:
            answer = await self._upstream.infer(images)
        except RequestError:
            return await self._each(images)
        return [BatchItem(verdict=verdict(answer, index)) for index in range(len(images))]

    async def _each(self, images: list[memoryview]) -> list[BatchItem]:
        room = asyncio.Semaphore(AT_ONCE)

        async def result(image: memoryview) -> BatchItem:
            async with room:
                try:
                    answer = await self._upstream.infer([image])
                except (RequestError, Overloaded) as error:
                    return BatchItem(problem=problems.details(problems.of(error), BATCH))
            return BatchItem(verdict=verdict(answer, 0))

        return await asyncio.gather(*map(result, images))


def router(endpoints: Endpoints, door: Door) -> APIRouter:
    """Paths, what they need and what they answer."""
    router = APIRouter(generate_unique_id_function=lambda route: route.name)
    for path, endpoint, title, kind in (
        ("/predict", endpoints.predict, "One image", contract.ONE),
        (BATCH, endpoints.batch, "Several images", contract.SEVERAL),
        ("/predict/explain", endpoints.explain, "One image, and where the evidence lies", contract.EXPLAINED),
    ):
        router.add_api_route(
            path,
            endpoint,
            methods=["POST"],
            summary=title,
            tags=["images"],
            dependencies=[Security(door.admit, scopes=[endpoint.__name__])],
            response_model_exclude_none=True,
            **kind,
        )
    for path, probe, title, kind in (
        ("/health", endpoints.health, "Does it run?", {}),
        ("/ready", endpoints.ready, "Would it answer?", {"responses": contract.problems(503)}),
        ("/metrics", endpoints.metrics, "Metrics", contract.METRICS),
    ):
        router.add_api_route(path, probe, summary=title, tags=["service"], **kind)
    return router

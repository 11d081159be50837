"""The paths of the service API that answer about images."""

import asyncio
import base64
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from bonafide.serving import overlay
from bonafide.serving.api import contract, examples, paths, problems, upload
from bonafide.serving.api.bodies import Bodies
from bonafide.serving.api.door import Door
from bonafide.serving.api.schemas import Batch, BatchItem, Explanation, Prediction, verdict
from bonafide.serving.api.topic import Topic
from bonafide.serving.api.upstream import Upstream
from bonafide.serving.client import OUTPUTS
from bonafide.serving.compute.pool import Pool
from bonafide.serving.edge.limits import MAXIMUM_IMAGES, Limits
from bonafide.serving.errors import Overloaded, RequestError
from bonafide.telemetry.logs import request_id

DESCRIPTION = """Send a picture and get the label that the model finds most probable, with calibrated
probabilities of all labels.

Images are JPEG, PNG or WebP files."""
AT_ONCE = 8
PAINTERS = 1  # it may hold a whole picture

_FILE = {"type": "string", "format": "binary"}
_KINDS = ("image/jpeg", "image/png", "image/webp")


def _form(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    fields = {
        "type": "object",
        "properties": {name: schema},
        "required": [name],
        "additionalProperties": False,
    }
    return {"multipart/form-data": {"schema": fields}}


_LIST = {"type": "array", "items": _FILE, "minItems": 1, "maxItems": MAXIMUM_IMAGES}
_ONE = contract.body(_form("image", _FILE) | {kind: {"schema": _FILE} for kind in _KINDS})
_PICTURE = {"image/png": {"schema": _FILE}}
_SEVERAL = contract.body(_form("images", _LIST))
_SEEN: dict[str, Any] = {"heatmap": [[0.0, 0.4], [0.1, 2.3]], "overlay": "iVBORw0KGgo…"}


class Endpoints:
    """What each path does."""

    def __init__(self, upstream: Upstream, door: Door, limits: Limits) -> None:
        self._upstream = upstream
        self._door = door
        self._bodies = Bodies(limits)
        self._painters = Pool(PAINTERS, thread_name_prefix="paint")

    async def predict(self, request: Request) -> Prediction:
        """Send one image, as a form or as the body itself."""
        async with self._bodies.of(request) as content:
            image = await upload.one(request, content)
            answer = await self._upstream.infer([image])
        return Prediction(request_id=request_id.get(), **dict(verdict(answer, 0)))

    async def explain(self, request: Request) -> Any:
        """Send one image; get its verdict, a heat map of the evidence, and that as a picture to lay over it.

        Where `Accept` asks for `image/png` first, the answer is the picture with the heat map in it instead.
        """
        accepts = request.headers.get("accept", "").strip().lower()
        paint = overlay.blended if accepts.startswith("image/") else overlay.layer
        async with self._bodies.of(request) as content:
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
        async with self._bodies.of(request) as content:
            images = await upload.several(request, content)
            if len(images) > 1:
                await self._door.count(request, len(images))
            return Batch(request_id=request_id.get(), results=await self._results(images))

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
                    return BatchItem(problem=problems.details(problems.of(error), paths.BATCH))
            return BatchItem(verdict=verdict(answer, 0))

        return await asyncio.gather(*map(result, images))


def router(upstream: Upstream, door: Door, limits: Limits, topic: Topic) -> APIRouter:
    """Paths, what they need and what they answer."""
    endpoints, said = Endpoints(upstream, door, limits), examples.verdict(topic)
    one = contract.answered(examples.ID | said)
    several = contract.answered(examples.ID | {"results": [{"verdict": said}]})
    seen = contract.answered(examples.ID | said | _SEEN)
    seen[200]["content"] |= _PICTURE
    return paths.router(
        "images",
        door,
        (paths.ONE, endpoints.predict, "One image", {"responses": one, "openapi_extra": _ONE}),
        (paths.BATCH, endpoints.batch, "Several images", {"responses": several, "openapi_extra": _SEVERAL}),
        (
            paths.EXPLAIN,
            endpoints.explain,
            "One image, and where the evidence lies",
            {"response_model": Explanation, "responses": seen, "openapi_extra": _ONE},
        ),
    )

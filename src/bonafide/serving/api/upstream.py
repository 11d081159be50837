"""What answers: a predictor in this process, or one that is asked over the Open Inference Protocol v2."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import httpx
import numpy as np
import numpy.typing as npt
from kserve import InferInput, InferRequest, InferResponse
from kserve.protocol.infer_type import RequestedOutput

from bonafide.serving.compute.scheduler import Scheduler
from bonafide.serving.errors import Overloaded, RequestError
from bonafide.serving.models.versions import Models
from bonafide.serving.v2.wire import HEADER
from bonafide.telemetry.logs import request_id

TIMEOUT = httpx.Timeout(30, connect=3)
CONNECTIONS = httpx.Limits(max_connections=256, max_keepalive_connections=64)
PASSED_ON = (400, 413, 415)
RETRY_SECONDS = 1
OUTPUTS = ("label", "uncertain", "probabilities")


@dataclass(frozen=True)
class Answer:
    """For N images: ``names`` [N] are their labels, ``uncertain`` is bool [N].

    ``probabilities`` is float32 [N, K] with columns named by ``labels``; ``heatmaps`` is float32 [N, h, w],
    zero or above, or None if not asked for.
    """

    labels: tuple[str, ...]
    names: tuple[str, ...]
    uncertain: npt.NDArray[np.bool_]
    probabilities: npt.NDArray[np.float32]
    heatmaps: npt.NDArray[np.float32] | None
    model: str
    version: str
    variant: str


class Upstream(Protocol):
    """A predictor, wherever it runs."""

    async def infer(self, images: Sequence[bytes], heatmap: bool = False) -> Answer:
        """Score one or more image files; with heat maps if wanted.

        Raises:
            RequestError: something that was sent is at fault; the message names the image's index.
            Overloaded: there is no answer now.
        """

    async def ready(self) -> bool:
        """Whether it would answer."""

    async def close(self) -> None:
        """Let go of what it holds."""


class Local:
    """The default version of the only one of ``models``, in this process: no hop, no copy on a wire."""

    def __init__(self, models: Models, scheduler: Scheduler) -> None:
        self._models = models
        self._scheduler = scheduler

    async def infer(self, images: Sequence[bytes], heatmap: bool = False) -> Answer:
        """As of :class:`Upstream`."""
        files = InferInput("image", [len(images)], "BYTES", list(images))
        (predictor,) = self._models.get_models().values()
        return _answer(await predictor.predict(_request(predictor.name, files, heatmap)))

    async def ready(self) -> bool:
        """As of :class:`Upstream`."""
        return all(predictor.ready for predictor in self._models.get_models().values())

    async def close(self) -> None:
        """Finish what has begun."""
        self._scheduler.close()


class Remote:
    """A predictor at ``url``; ``model`` may be left out where it has one only."""

    def __init__(self, url: str, model: str = "") -> None:
        self._model = model
        self._client = httpx.AsyncClient(base_url=url, timeout=TIMEOUT, limits=CONNECTIONS)

    async def infer(self, images: Sequence[bytes], heatmap: bool = False) -> Answer:
        """As of :class:`Upstream`."""
        model = await self._name()
        files = InferInput("image", [len(images)], "BYTES")
        files.set_data_from_numpy(np.array(list(images), dtype=object), binary_data=True)
        body, length = _request(model, files, heatmap).to_rest()
        headers = {HEADER: str(length), "Content-Type": "application/octet-stream"}
        response = await self._ask("POST", f"/v2/models/{model}/infer", content=body, headers=headers)
        try:
            length = int(response.headers.get(HEADER, len(response.content)))
            return _answer(InferResponse.from_bytes(response.content, length))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise _unavailable(f"the predictor answered what cannot be read: {error!r}") from error

    async def ready(self) -> bool:
        """As of :class:`Upstream`."""
        try:
            await self._ask("GET", f"/v2/models/{await self._name()}/ready")
        except (RequestError, Overloaded):
            return False
        return True

    async def close(self) -> None:
        """Close its connections."""
        await self._client.aclose()

    async def _name(self) -> str:
        if not self._model:
            models = (await self._ask("GET", "/v2/models")).json()["models"]
            if len(models) != 1:
                raise _unavailable("the predictor has several models or none; name one with --model")
            self._model = str(models[0])
        return self._model

    async def _ask(self, method: str, path: str, **content: Any) -> httpx.Response:
        content["headers"] = {"X-Request-ID": request_id.get()} | content.get("headers", {})
        try:
            response = await self._client.request(method, path, **content)
        except httpx.HTTPError as error:
            raise _unavailable(f"the predictor does not answer: {type(error).__name__}") from error
        if response.is_success:
            return response
        if response.status_code in PASSED_ON:
            raise RequestError(_said(response), response.status_code)
        wait = response.headers.get("Retry-After", "")
        message = f"the predictor answered {response.status_code}: {_said(response)}"
        raise _unavailable(message, int(wait) if wait.isdigit() else RETRY_SECONDS)


def _request(model: str, files: InferInput, heatmap: bool) -> InferRequest:
    outputs = (*OUTPUTS, "heatmap") if heatmap else OUTPUTS
    wanted = [RequestedOutput(name, {"binary_data": True}) for name in outputs]
    return InferRequest(model, [files], request_id=request_id.get() or None, request_outputs=wanted)


def _answer(response: InferResponse) -> Answer:
    outputs = {output.name: output.as_numpy() for output in response.outputs}
    told = response.parameters
    return Answer(
        tuple(json.loads(told["labels"])),
        tuple(name.decode() if isinstance(name, bytes) else name for name in outputs["label"]),
        outputs["uncertain"],
        outputs["probabilities"],
        outputs.get("heatmap"),
        response.model_name,
        told["model_version"],
        told["variant"],
    )


def _unavailable(message: str, retry_after: int = RETRY_SECONDS) -> Overloaded:
    return Overloaded(message, retry_after, "predictor")


def _said(response: httpx.Response) -> str:
    try:
        return str(response.json()["error"])
    except (ValueError, KeyError, TypeError):
        return response.reason_phrase

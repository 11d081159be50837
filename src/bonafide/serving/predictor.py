"""The KServe model: one verified package behind the Open Inference Protocol v2."""

import asyncio
import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import kserve
import numpy as np
from kserve import InferOutput, InferRequest, InferResponse

from bonafide.errors import ImageError
from bonafide.serving.v2 import question
from bonafide.serving.engine import Engine, Scores
from bonafide.serving.v2.question import Question, RequestError

STATUS = {
    "too-many-bytes": 413,
    "too-many-pixels": 413,
    "not-an-image": 415,
    "format": 415,
    "animated": 415,
}


class Predictor(kserve.Model):  # type: ignore[misc]
    """Answers requests on threads of its own, so that the event loop stays free.

    Inputs, one of them a request: ``image`` BYTES [N] (JPEG, PNG or WebP files, base64 in JSON) or
    ``pixels`` UINT8 [N, H, W, 3], RGB. Outputs: ``label`` BYTES [N] and ``probabilities`` FP32 [N, K], and
    when named in the request's ``outputs`` also ``embedding`` FP32 [N, E] and ``heatmap`` FP32 [N, h, w].
    The response's parameters hold ``model_version``, ``variant`` and ``labels``, a JSON list that names
    the K columns.

    Args:
        workers: requests worked on at once; the engine's threads × workers should not exceed the cores.
    """

    def __init__(self, engine: Engine, version: str, variant: str, workers: int) -> None:
        super().__init__(engine.info.task)
        self._engine = engine
        self._version = version
        self._parameters = {
            "model_version": version,
            "variant": variant,
            "labels": json.dumps(engine.info.labels),
        }
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix="predictor")

    def load(self) -> bool:
        """Warm the engine; only then is the model ready."""
        self._engine.warm()
        self.ready = True
        return True

    def stop(self) -> None:
        """Take no more requests; those begun are finished."""
        self.ready = False
        self._executor.shutdown()

    def get_input_types(self) -> list[dict[str, Any]]:
        """Either input answers; -1 is a size that the client chooses."""
        return [
            {"name": "image", "datatype": "BYTES", "shape": [-1]},
            {"name": "pixels", "datatype": "UINT8", "shape": [-1, -1, -1, 3]},
        ]

    def get_output_types(self) -> list[dict[str, Any]]:
        """All outputs; the first two are given when a request names none."""
        info = self._engine.info
        return [
            {"name": "label", "datatype": "BYTES", "shape": [-1]},
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, len(info.labels)]},
            {"name": "embedding", "datatype": "FP32", "shape": [-1, info.embedding_size]},
            {"name": "heatmap", "datatype": "FP32", "shape": [-1, *info.heatmap_size]},
        ]

    async def predict(
        self,
        payload: InferRequest,
        headers: dict[str, str] | None = None,  # noqa: ARG002
        response_headers: dict[str, str] | None = None,  # noqa: ARG002
    ) -> InferResponse:
        """Answer one request.

        Raises:
            RequestError: the request cannot be answered; the message names the field or the image's index.
        """
        scores, asked = await asyncio.get_running_loop().run_in_executor(
            self._executor, self._answer, payload
        )
        outputs = [self._output(name, scores) for name in asked.outputs]
        return InferResponse(
            response_id=payload.id or str(uuid.uuid4()),
            model_name=self.name,
            model_version=self._version,
            infer_outputs=outputs,
            parameters=self._parameters,
            use_binary_outputs=payload.use_binary_outputs,
            requested_outputs=payload.request_outputs,
        )

    def _answer(self, request: InferRequest) -> tuple[Scores, Question]:
        asked = question.read(request)
        wanted = {"probabilities", *asked.outputs} - {"label"}
        try:
            pixels = self._engine.decode(asked.images) if isinstance(asked.images, list) else asked.images
        except ImageError as error:
            raise RequestError(str(error), STATUS.get(error.reason, 400)) from error
        return self._engine.score(pixels, sorted(wanted)), asked

    def _output(self, name: str, scores: Scores) -> InferOutput:
        values: np.ndarray[Any, Any] = self._labels(scores) if name == "label" else scores[name]
        output = InferOutput(name, list(values.shape), "BYTES" if name == "label" else "FP32")
        output.set_data_from_numpy(values)
        return output

    def _labels(self, scores: Scores) -> np.ndarray[Any, Any]:
        winners = scores["probabilities"].argmax(axis=1)
        return np.array([self._engine.info.labels[winner].encode() for winner in winners], dtype=object)

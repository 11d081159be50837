"""The KServe model: one verified package behind the Open Inference Protocol v2."""

import json
import uuid
from typing import Any

import kserve
import numpy as np
import numpy.typing as npt
from kserve import InferOutput, InferRequest, InferResponse

from bonafide.errors import ImageError
from bonafide.model.decision import decide
from bonafide.model.info import ModelInfo
from bonafide.serving.compute.engine import Engine
from bonafide.serving.compute.meters import Meters
from bonafide.serving.compute.scheduler import Scheduler
from bonafide.serving.errors import STATUS, RequestError
from bonafide.serving.v2 import question
from bonafide.serving.v2.question import Question

DATATYPES = {"label": "BYTES", "uncertain": "BOOL"}

Array = npt.NDArray[Any]


class Predictor(kserve.Model):  # type: ignore[misc]
    """One version of a model; the scheduler's threads do the work, so the event loop stays free.

    Inputs, one of them a request: ``image`` BYTES [N] (JPEG, PNG or WebP files, base64 in JSON) or
    ``pixels`` UINT8 [N, H, W, 3], RGB. Outputs: ``label`` BYTES [N], ``probabilities`` FP32 [N, K] and
    ``uncertain`` BOOL [N] by the package's rule (:mod:`bonafide.model.decision`). Where the model has them
    and the request's ``outputs`` names them, also ``embedding`` FP32 [N, E] and ``heatmap`` FP32 [N, h, w].
    The response's parameters hold ``model_version``, ``variant`` and ``labels``, a JSON list that names
    the K columns.
    """

    def __init__(self, engine: Engine, scheduler: Scheduler, version: str, variant: str) -> None:
        super().__init__(engine.info.task)
        self.version = version
        self.variant = variant
        self.info = engine.info
        self._engine = engine
        self._scheduler = scheduler
        self._meters = Meters(self.name, version, variant, engine.info.labels)
        self._names = np.array([label.encode() for label in self.info.labels], dtype=object)
        self._shapes = _shapes(self.info)
        self._parameters = {
            "model_version": version,
            "variant": variant,
            "labels": json.dumps(engine.info.labels),
        }

    def load(self) -> bool:
        """Warm the engine; only then is the model ready."""
        self._engine.warm()
        self.ready = True
        return True

    def get_input_types(self) -> list[dict[str, Any]]:
        """Either input answers; -1 is a size that the client chooses."""
        return [
            {"name": "image", "datatype": "BYTES", "shape": [-1]},
            {"name": "pixels", "datatype": "UINT8", "shape": [-1, -1, -1, 3]},
        ]

    def get_output_types(self) -> list[dict[str, Any]]:
        """All outputs; the first three are given when a request names none."""
        return [
            {"name": name, "datatype": DATATYPES.get(name, "FP32"), "shape": [-1, *shape]}
            for name, shape in self._shapes.items()
        ]

    async def predict(
        self,
        payload: InferRequest,
        headers: dict[str, str] | None = None,  # noqa: ARG002
        response_headers: dict[str, str] | None = None,  # noqa: ARG002
    ) -> InferResponse:
        """Answer one request; cancelling it gives up what has not begun.

        Raises:
            RequestError: the request cannot be answered; the message names the field or the image's index.
            Overloaded: there is too much to do.
        """
        with self._meters.request():
            asked = question.read(payload, tuple(self._shapes))
            outputs = await self._outputs(asked)
            return self._response(payload, asked, outputs)

    async def _outputs(self, asked: Question) -> dict[str, Array]:
        wanted = {"probabilities", *asked.outputs} - set(DATATYPES)
        try:
            answered = await self._scheduler.run(
                self._engine, asked.images, sorted(wanted), self._meters.batch
            )
        except ImageError as error:
            raise RequestError(str(error), STATUS.get(error.reason, 400), error.reason) from error
        decided = decide(answered.scores["probabilities"], self.info.labels, self.info.decision)
        self._meters.answered(answered, decided)
        return {"label": self._names[decided.label], "uncertain": decided.uncertain, **answered.scores}

    def _response(self, request: InferRequest, asked: Question, outputs: dict[str, Array]) -> InferResponse:
        return InferResponse(
            response_id=request.id or str(uuid.uuid4()),
            model_name=self.name,
            model_version=self.version,
            infer_outputs=[_tensor(name, outputs[name]) for name in asked.outputs],
            parameters=self._parameters,
            use_binary_outputs=request.use_binary_outputs,
            requested_outputs=request.request_outputs,
        )


def _shapes(info: ModelInfo) -> dict[str, tuple[int, ...]]:
    """The outputs in their order, with the sizes behind N."""
    shapes: dict[str, tuple[int, ...]] = {"label": (), "probabilities": (len(info.labels),), "uncertain": ()}
    if info.embedding_size is not None:
        shapes["embedding"] = (info.embedding_size,)
    if info.heatmap_size is not None:
        shapes["heatmap"] = info.heatmap_size
    return shapes


def _tensor(name: str, values: Array) -> InferOutput:
    output = InferOutput(name, list(values.shape), DATATYPES.get(name, "FP32"))
    output.set_data_from_numpy(values)
    return output

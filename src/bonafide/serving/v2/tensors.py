"""The model's tensors as the protocol has them: names, datatypes, shapes, bytes."""

import json
import struct
from typing import Any

import bonafide
from bonafide.modality import arm
from bonafide.serving.answer import Answer, Array
from bonafide.serving.models.predictor import Predictor
from bonafide.serving.models.versions import Models

EXTENSIONS = ("binary_tensor_data", "model_repository")

_DATATYPES = {"label": "BYTES", "uncertain": "BOOL"}


def datatype(output: str) -> str:
    """Of an output of any model."""
    return _DATATYPES.get(output, "FP32")


def raw(values: Array) -> bytes:
    """A binary tensor; elements of BYTES each follow their length, a little-endian uint32."""
    if values.dtype == object:
        return b"".join(struct.pack("<I", len(value)) + value for value in values.ravel())
    return values.tobytes()


def server() -> dict[str, Any]:
    """Name, version and the extensions of the protocol that are answered."""
    return {"name": "bonafide", "version": bonafide.__version__, "extensions": list(EXTENSIONS)}


def metadata(predictor: Predictor, models: Models) -> dict[str, Any]:
    """A model's versions and tensors; of the outputs the first three are given when a request names none."""
    outputs = [
        {"name": name, "datatype": datatype(name), "shape": [-1, *shape]}
        for name, shape in predictor.shapes.items()
    ]
    return {
        "name": predictor.name,
        "platform": "onnxruntime_onnx",
        "inputs": arm(predictor.info.input.modality, "question").tensors(predictor.info),
        "outputs": outputs,
        "versions": list(models.versions(predictor.name)),
    }


def parameters(answer: Answer) -> dict[str, str]:
    """Of every answer: ``labels`` is a JSON list that names the K columns of the probabilities.

    ``columns`` is one that names those of the rows that a model of tables takes, in its order.
    """
    told = {"model_version": answer.version, "labels": json.dumps(answer.labels)}
    return told | ({"columns": json.dumps(answer.columns)} if answer.columns else {})

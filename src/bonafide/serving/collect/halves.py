"""Bodies of the Open Inference Protocol v2, as somebody else saw them: without their headers.

The header that says where the JSON of a body ends and its binary tensors begin is not sent along, so that is
found by reading the JSON.
"""

import json
import math
import zlib
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import numpy as np
import orjson
from pydantic import BaseModel, Field, NonNegativeInt, StrictStr, TypeAdapter, ValidationError

from bonafide.features import MOST_FEATURES, ColumnName
from bonafide.model.decision import label_of
from bonafide.serving.answer import Answer, Array
from bonafide.serving.collect.events import LONGEST
from bonafide.serving.columns import Columns
from bonafide.serving.edge.body import WINDOW, Buffer
from bonafide.serving.edge.limits import Limits
from bonafide.serving.errors import RequestError
from bonafide.serving.known import Known, known
from bonafide.serving.v2 import images, rows, wire

LONGEST_JSON = 2**20
"""Of a body with binary tensors behind it, in bytes."""

DTYPES = {"FP32": "<f4", "BOOL": "?"}
KINDS = {"label": "BYTES", "uncertain": "BOOL"}
"""Of outputs; the others are FP32."""
GZIP = b"\x1f\x8b"
LIMITS = Limits()
MISFITS = (ValidationError, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)


_COLUMNS = TypeAdapter(Annotated[tuple[ColumnName, ...], Field(max_length=MOST_FEATURES)])


class Asked(NamedTuple):
    """What was asked about: images' files, or what their pixels tell; or a table's columns."""

    images: Sequence[Known] = ()
    columns: Columns = {}

    def known(self, columns: Sequence[str]) -> Sequence[Known]:
        """Of each image, or of each row of a table whose columns the answer names.

        Raises:
            RequestError: the columns are other ones.
        """
        return known(self.columns, columns) if self.columns else self.images

    @property
    def size(self) -> int:
        """Bytes that it holds."""
        files = (len(each.file) for each in self.images if each.file is not None)
        return sum(files) + sum(values.nbytes for values in self.columns.values())


_Name = Annotated[StrictStr, Field(max_length=LONGEST)]


class _Size(BaseModel):
    binary_data_size: NonNegativeInt | None = None


class _Output(BaseModel):
    name: StrictStr
    datatype: StrictStr
    shape: list[NonNegativeInt]
    parameters: _Size = _Size()
    data: list[Any] | None = None


class _Told(BaseModel):
    labels: StrictStr
    columns: StrictStr = "[]"
    model_version: _Name


class _Response(BaseModel):
    model_name: _Name
    parameters: _Told
    outputs: list[_Output]


def asked(body: Buffer) -> Asked | None:
    """What a request asks about; None for one that asks for no inference.

    Raises:
        RequestError: the body does not fit the protocol.
    """
    plain = _inflated(body)
    content, end = _json(plain)
    if not isinstance(content, dict) or "inputs" not in content:
        return None
    request = wire.read(plain, str(end) if end < len(plain) else None, "", lambda _: None)
    kinds = {(tensor.name, tensor.datatype) for tensor in request.inputs}
    if not kinds & images.DATATYPES.items():
        return Asked(columns=rows.columns(request))
    found = images.items(request)
    if isinstance(found, np.ndarray):
        return Asked([Known(None, _looks(pixels)) for pixels in found])
    return Asked([Known(bytes(image)) for image in found])


def answered(body: Buffer) -> Answer | None:
    """What a predictor of ours answered; None for what is no inference with probabilities.

    Where the label was not asked for, it is the most probable one; where ``uncertain`` was not, it is false.

    Raises:
        RequestError: the body does not fit the protocol.
    """
    plain = _inflated(body)
    content, end = _json(plain)
    if not isinstance(content, dict) or not {"outputs", "model_name"} <= content.keys():
        return None
    try:
        return _answer(_Response.model_validate(content), memoryview(plain)[end:])
    except MISFITS as error:
        told = str(error).partition("\n")[0][:200]
        raise RequestError(f"the answer does not fit: {told}") from error


def _answer(response: _Response, rest: memoryview) -> Answer | None:
    outputs = _outputs(response, rest)
    labels = tuple(json.loads(response.parameters.labels))
    if "probabilities" not in outputs:
        return None
    probabilities = outputs["probabilities"]
    count = len(probabilities)
    if not count or probabilities.shape != (count, len(labels)):
        raise ValueError("the probabilities are not those of the labels")
    names = np.array([name.encode() for name in labels], dtype=object)
    derived = {"label": names[label_of(probabilities)], "uncertain": np.zeros(count, np.bool_)}
    given = derived | outputs
    if any(len(values) != count for values in given.values()):
        raise ValueError("the outputs are of different lengths")
    if any(given[name].ndim != 1 for name in KINDS):
        raise ValueError(f"{' and '.join(KINDS)} are one for each image")
    columns = _COLUMNS.validate_json(response.parameters.columns)
    answer = Answer(response.model_name, response.parameters.model_version, labels, given, columns=columns)
    if not set(answer.names) <= set(labels):
        raise ValueError("a label is none of the model's")
    return answer


def _inflated(body: Buffer) -> Buffer:
    """The logger sees what was compressed for the client, and does not tell so."""
    if body[:2] != GZIP:
        return body
    inflater = zlib.decompressobj(WINDOW["gzip"])
    try:
        content = inflater.decompress(body, LIMITS.body)
    except zlib.error as error:
        raise RequestError(f"the body is no gzip: {error}") from error
    if not inflater.eof:
        raise RequestError("the body is no whole gzip, or too large", 413, "too-large")
    return content


def _json(body: Buffer) -> tuple[Any, int]:
    """The JSON at the beginning, and where it ends; None and 0 where there is nothing."""
    if not body:
        return None, 0
    wire.refuse_many(body)
    try:
        return orjson.loads(body), len(body)
    except orjson.JSONDecodeError:  # binary tensors may follow
        pass
    try:
        _, end = json.JSONDecoder().raw_decode(bytes(body[:LONGEST_JSON]).decode("latin-1"))
        return orjson.loads(body[:end]), end
    except (ValueError, RecursionError) as error:
        raise RequestError(f"the body does not begin with JSON of at most {LONGEST_JSON:,} bytes") from error


def _outputs(response: _Response, rest: memoryview) -> dict[str, Array]:
    outputs: dict[str, Array] = {}
    for output in response.outputs:
        if output.datatype != KINDS.get(output.name, "FP32"):
            raise ValueError(f"{output.name} cannot be {output.datatype}")
        size = output.parameters.binary_data_size
        if size is None:
            outputs[output.name] = _array(output, output.data or [])
            continue
        if size > len(rest):
            raise ValueError(f"{output.name} ends too early")
        raw, rest = rest[:size], rest[size:]
        if output.datatype == "BYTES":
            texts = [bytes(text) for text in images.elements_of(raw, math.prod(output.shape))]
            outputs[output.name] = _array(output, texts)
        else:
            outputs[output.name] = np.frombuffer(raw, DTYPES[output.datatype]).reshape(output.shape)
    return outputs


def _array(output: _Output, values: list[Any]) -> Array:
    if output.datatype == "BYTES":
        texts = [value.encode() if isinstance(value, str) else bytes(value) for value in values]
        array = np.empty(len(texts), dtype=object)
        array[:] = texts
        return array.reshape(output.shape)
    return np.array(values, DTYPES[output.datatype]).reshape(output.shape)


def _looks(pixels: Array) -> dict[str, float]:
    height, width = pixels.shape[:2]
    return {"width": float(width), "height": float(height), "brightness": float(pixels.mean() / 255)}

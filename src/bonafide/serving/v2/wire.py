"""The REST wire format of the Open Inference Protocol v2: JSON, with tensors appended as binary on request.

KServe's own reader turns binary tensors into lists of text, which fails on any BYTES that are not UTF-8
(a JPEG, say) and is slow on pixels; the same conversion over gRPC is
https://github.com/kserve/kserve/issues/3731. This one keeps the bytes.
"""

import gc
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, TypeVar

import numpy as np
import orjson
from kserve import InferInput, InferRequest
from kserve.protocol.infer_type import RequestedOutput
from pydantic import (
    BaseModel,
    FailFast,
    Field,
    NonNegativeInt,
    StrictBool,
    StrictInt,
    TypeAdapter,
    ValidationError,
)

from bonafide.serving.answer import Answer
from bonafide.serving.edge.body import Buffer, Take
from bonafide.serving.edge.limits import MAXIMUM_VALUES
from bonafide.serving.errors import RequestError
from bonafide.serving.v2 import tensors

Content = TypeVar("Content", bound=BaseModel)

HEADER = "inference-header-content-length"
_SIZE = TypeAdapter(NonNegativeInt)
BEFORE_VALUES = b",[{"
MAXIMUM_TENSORS = 256
STEP = 2**20
_LENGTH = re.compile(r"[0-9]{1,12}")


class _Tensor(BaseModel):
    name: str
    shape: Annotated[list[StrictInt], FailFast()]
    datatype: str
    parameters: dict[str, Any] = {}
    data: list[Any] | None = None


class _OutputParameters(BaseModel, extra="allow"):
    binary_data: StrictBool | None = None


class _Output(BaseModel):
    name: str
    parameters: _OutputParameters = Field(default_factory=_OutputParameters)


class _Parameters(BaseModel, extra="allow"):
    binary_data_output: StrictBool = False


class _Body(BaseModel):
    id: str | None = None
    parameters: _Parameters = Field(default_factory=_Parameters)
    inputs: Annotated[list[_Tensor], FailFast(), Field(max_length=MAXIMUM_TENSORS)]
    outputs: Annotated[list[_Output], FailFast(), Field(max_length=MAXIMUM_TENSORS)] = []


def read(body: Buffer, json_length: str | None, model: str, take: Take) -> InferRequest:
    """Parse a request body; binary tensors stay views of it.

    Args:
        body: JSON, then the binary tensors in the order of the inputs.
        json_length: the header ``Inference-Header-Content-Length``; None when the body is JSON alone.
        model: name of the model from the path.
        take: called with the bytes that the JSON's texts take beside the body.

    Raises:
        RequestError: names the field that does not fit.
        Overloaded: all requests together hold too much.
    """
    length = len(body) if json_length is None else _length(json_length, len(body))
    view = memoryview(body)
    take(length)
    content = parse(_Body, view[:length])
    binary = _binary(content.inputs, view[length:])
    inputs = []
    for tensor, raw in zip(content.inputs, binary, strict=True):
        inputs.append(InferInput(tensor.name, tensor.shape, tensor.datatype, tensor.data))
        inputs[-1]._raw_data = raw
    return InferRequest(
        model,
        inputs,
        request_id=content.id,
        parameters=content.parameters.model_dump(),
        request_outputs=[
            _requested(output, content.parameters.binary_data_output) for output in content.outputs
        ],
    )


def parse(kind: type[Content], text: Buffer | memoryview) -> Content:
    """JSON as ``kind``.

    Raises:
        RequestError: it is no JSON, has too many values, or a field that does not fit; the message names it.
    """
    refuse_many(text)
    try:
        with _no_collections():
            return kind.model_validate(orjson.loads(text))
    except orjson.JSONDecodeError as error:
        raise RequestError(f"the body is no valid JSON: {error}") from error
    except ValidationError as error:
        raise RequestError("; ".join(map(_explain, error.errors()))) from error


def refuse_many(text: Buffer | memoryview) -> None:
    """Before it is read, because each value takes memory.

    Raises:
        RequestError: the JSON has too many values; base64 is one.
    """
    if _values(text) > MAXIMUM_VALUES:
        message = f"the JSON has more than {MAXIMUM_VALUES:,} values; send pixels as a binary tensor"
        raise RequestError(message, 413, "too-large")


def _values(text: Buffer | memoryview) -> int:
    """How many at most: numbers, texts, lists and tables; more where a text has such characters."""
    letters = np.frombuffer(text, np.uint8)
    steps = range(0, len(letters), STEP)
    found = (letters[begin : begin + STEP] == letter for begin in steps for letter in BEFORE_VALUES)
    return sum(map(int, map(np.count_nonzero, found)))


@contextmanager
def _no_collections() -> Iterator[None]:
    """To look for cycles again and again takes ten times as long as to make many objects."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def write(answer: Answer, request: InferRequest) -> tuple[bytes, dict[str, str]]:
    """The response to ``request``: its body and its headers."""
    wanted = {output.name: output.binary_data for output in request.request_outputs or ()}
    outputs: list[dict[str, Any]] = []
    binary: list[bytes] = []
    for name, values in answer.outputs.items():
        output: dict[str, Any] = {
            "name": name,
            "shape": values.shape,
            "datatype": tensors.datatype(name),
        }
        if wanted.get(name, request.use_binary_outputs):
            binary.append(tensors.raw(values))
            output["parameters"] = {"binary_data_size": len(binary[-1])}
        elif values.dtype == object:
            output["data"] = [value.decode() for value in values]
        else:
            output["data"] = values.ravel()
        outputs.append(output)
    content = {
        "id": request.id,
        "model_name": answer.model,
        "model_version": answer.version,
        "outputs": outputs,
        "parameters": tensors.parameters(answer),
    }
    body = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
    if not binary:
        return body, {"content-type": "application/json"}
    headers = {"content-type": "application/octet-stream", HEADER: str(len(body))}
    return b"".join((body, *binary)), headers


def _requested(output: _Output, binary: bool) -> RequestedOutput:
    """An output that does not say how it wants to be sent follows the request; KServe's forgets the request:
    https://github.com/kserve/kserve/blob/v0.21.0/python/kserve/kserve/protocol/infer_type.py
    """
    wants = output.parameters.binary_data
    return RequestedOutput(output.name, {"binary_data": binary if wants is None else wants})


def _length(header: str, available: int) -> int:
    if not _LENGTH.fullmatch(header) or int(header) > available:
        raise RequestError(f"{HEADER}: {header!r} is no length within a body of {available} bytes")
    return int(header)


def _binary(inputs: list[_Tensor], rest: memoryview) -> list[memoryview | None]:
    """The bytes of each input, None for one whose data stands in the JSON; nothing may be missing or left."""
    parts: list[memoryview | None] = []
    for tensor in inputs:
        size = tensor.parameters.get("binary_data_size")
        if (size is None) == (tensor.data is None):
            raise RequestError(f"{tensor.name}: give either data or the parameter binary_data_size")
        parts.append(None if size is None else rest[: _size(tensor.name, size, len(rest))])
        rest = rest[len(parts[-1] or b"") :]
    if rest:
        raise RequestError(f"{len(rest)} bytes after the JSON belong to no input; set binary_data_size")
    return parts


def _size(name: str, value: Any, available: int) -> int:
    try:
        size = _SIZE.validate_python(value, strict=True)
    except ValidationError:
        raise RequestError(f"{name}: binary_data_size must be a whole number, got {value!r}") from None
    if size > available:
        raise RequestError(f"{name}: binary_data_size is {size}, the body has {available} bytes left")
    return size


def _explain(problem: Any) -> str:
    return f"{'.'.join(map(str, problem['loc'])) or 'the body'}: {problem['msg']}"

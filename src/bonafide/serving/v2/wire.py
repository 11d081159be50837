"""The REST wire format of the Open Inference Protocol v2: JSON, with tensors appended as binary on request.

kserve's own reader turns binary tensors into lists of text, which fails on any BYTES that are not UTF-8
(a JPEG, say) and is slow on pixels. This one keeps the bytes.
"""

from typing import Any

import orjson
from kserve import InferInput, InferRequest, InferResponse
from kserve.protocol.infer_type import RequestedOutput
from pydantic import BaseModel, NonNegativeInt, StrictInt, TypeAdapter, ValidationError

from bonafide.serving.v2.question import RequestError

HEADER = "inference-header-content-length"


class _Tensor(BaseModel):
    name: str
    shape: list[StrictInt]
    datatype: str
    parameters: dict[str, Any] = {}
    data: list[Any] | None = None


class _Output(BaseModel):
    name: str
    parameters: dict[str, Any] = {}


class _Body(BaseModel):
    id: str | None = None
    parameters: dict[str, Any] = {}
    inputs: list[_Tensor]
    outputs: list[_Output] = []


def read(body: bytes, json_length: str | None, model: str) -> InferRequest:
    """Parse a request body.

    Args:
        body: JSON, then the binary tensors in the order of the inputs.
        json_length: the header ``Inference-Header-Content-Length``; None when the body is JSON alone.
        model: name of the model from the path.

    Raises:
        RequestError: names the field that does not fit.
    """
    length = len(body) if json_length is None else _length(json_length, len(body))
    try:
        content = _Body.model_validate(orjson.loads(body[:length]))
    except orjson.JSONDecodeError as error:
        raise RequestError(f"the body is no valid JSON: {error}") from error
    except ValidationError as error:
        raise RequestError("; ".join(map(_explain, error.errors()))) from error
    binary = _binary(content.inputs, memoryview(body)[length:])
    inputs = []
    for tensor, raw in zip(content.inputs, binary, strict=True):
        inputs.append(InferInput(tensor.name, tensor.shape, tensor.datatype, tensor.data))
        inputs[-1]._raw_data = raw
    return InferRequest(
        model,
        inputs,
        request_id=content.id,
        parameters=content.parameters,
        request_outputs=[RequestedOutput(output.name, output.parameters) for output in content.outputs],
    )


def write(response: InferResponse) -> tuple[bytes, dict[str, str]]:
    """The response body and its headers."""
    body, json_length = response.to_rest()
    if json_length is None:
        return orjson.dumps(body), {"content-type": "application/json"}
    return body, {"content-type": "application/octet-stream", HEADER: str(json_length)}


def _length(header: str, available: int) -> int:
    if not header.isascii() or not header.isdigit() or int(header) > available:
        raise RequestError(f"{HEADER}: {header!r} is no length within a body of {available} bytes")
    return int(header)


def _binary(inputs: list[_Tensor], rest: memoryview) -> list[bytes | None]:
    """The bytes of each input, None for one whose data stands in the JSON; nothing may be missing or left."""
    parts: list[bytes | None] = []
    for tensor in inputs:
        size = tensor.parameters.get("binary_data_size")
        if (size is None) == (tensor.data is None):
            raise RequestError(f"{tensor.name}: give either data or the parameter binary_data_size")
        parts.append(None if size is None else bytes(rest[: _size(tensor.name, size, len(rest))]))
        rest = rest[len(parts[-1] or b"") :]
    if rest:
        raise RequestError(f"{len(rest)} bytes after the JSON belong to no input; set binary_data_size")
    return parts


def _size(name: str, value: Any, available: int) -> int:
    try:
        size = TypeAdapter(NonNegativeInt).validate_python(value, strict=True)
    except ValidationError:
        raise RequestError(f"{name}: binary_data_size must be a whole number, got {value!r}") from None
    if size > available:
        raise RequestError(f"{name}: binary_data_size is {size}, the body has {available} bytes left")
    return size


def _explain(problem: Any) -> str:
    return f"{'.'.join(map(str, problem['loc'])) or 'the body'}: {problem['msg']}"

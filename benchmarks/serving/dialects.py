"""How each server is asked and how its answer is read: a file in, probabilities out."""

import base64
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Probabilities = npt.NDArray[np.float32]

BOUNDARY = "bonafide-benchmark"
HEADER_LENGTH = "inference-header-content-length"


@dataclass(frozen=True)
class Question:
    """One HTTP request, ready to send as often as wanted."""

    body: bytes
    headers: dict[str, str]


@dataclass(frozen=True)
class Dialect:
    """``ask`` makes a request of a JPEG file, or of a row as a JSON object.

    ``read`` takes the probabilities out of an answer's body.
    """

    ask: Callable[[bytes], Question]
    read: Callable[[bytes, dict[str, str]], Probabilities]


def v2_binary(jpeg: bytes) -> Question:
    """Open Inference Protocol v2: JSON, then the file as a binary tensor."""
    size = 4 + len(jpeg)
    parameters = {"binary_data_size": size}
    tensor = {"name": "image", "shape": [1], "datatype": "BYTES", "parameters": parameters}
    wanted = {"name": "probabilities", "parameters": {"binary_data": True}}
    header = json.dumps({"inputs": [tensor], "outputs": [wanted]}).encode()
    body = header + struct.pack("<I", len(jpeg)) + jpeg
    return Question(body, {HEADER_LENGTH: str(len(header)), "content-type": "application/octet-stream"})


def v2_base64(jpeg: bytes, content_type: str | None = None) -> Question:
    """Open Inference Protocol v2: the file as base64 text in JSON."""
    tensor: dict[str, Any] = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [_text(jpeg)]}
    if content_type:
        tensor["parameters"] = {"content_type": content_type}
    return _json({"inputs": [tensor], "outputs": [{"name": "probabilities"}]})


def upload(field: str) -> Callable[[bytes], Question]:
    """A form with one file, as a browser sends it."""

    def ask(jpeg: bytes) -> Question:
        disposition = f'form-data; name="{field}"; filename="image.jpg"'
        start = f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\nContent-Type: image/jpeg\r\n\r\n"
        body = start.encode() + jpeg + f"\r\n--{BOUNDARY}--\r\n".encode()
        return Question(body, {"content-type": f"multipart/form-data; boundary={BOUNDARY}"})

    return ask


def v2_row(row: bytes) -> Question:
    """Open Inference Protocol v2: all columns of a row as one tensor, in JSON."""
    values = list(json.loads(row).values())
    tensor = {"name": "columns", "shape": [1, len(values)], "datatype": "FP32", "data": values}
    return _json({"inputs": [tensor], "outputs": [{"name": "probabilities"}]})


def _text(jpeg: bytes) -> str:
    return base64.b64encode(jpeg).decode()


def _json(content: Any) -> Question:
    return Question(json.dumps(content).encode(), {"content-type": "application/json"})


def _row(row: bytes) -> Question:
    return Question(row, {"content-type": "application/json"})


def _raw(jpeg: bytes) -> Question:
    return Question(jpeg, {"content-type": "image/jpeg"})


def _mlserver(jpeg: bytes) -> Question:
    return v2_base64(jpeg, "base64")


def _v1(jpeg: bytes) -> Question:
    return _json({"instances": [{"image": {"b64": _text(jpeg)}}]})


def _litserve(jpeg: bytes) -> Question:
    return _json({"image_bytes": _text(jpeg)})


def _read_v2(body: bytes, headers: dict[str, str]) -> Probabilities:
    length = int(headers.get(HEADER_LENGTH, len(body)))
    outputs = json.loads(body[:length])["outputs"]
    found = next(output for output in outputs if output["name"] == "probabilities")
    if "data" in found:
        return np.array(found["data"], np.float32)
    return np.frombuffer(body[length : length + found["parameters"]["binary_data_size"]], np.float32)


def _read_field(*path: str | int) -> Callable[[bytes, dict[str, str]], Probabilities]:
    def read(body: bytes, _: dict[str, str]) -> Probabilities:
        content = json.loads(body)
        for step in path:
            content = content[step]
        values = list(content.values()) if isinstance(content, dict) else content
        return np.array(values, np.float32)

    return read


DIALECTS = {
    "v2 binary": Dialect(v2_binary, _read_v2),
    "v2 base64": Dialect(v2_base64, _read_v2),
    "mlserver": Dialect(_mlserver, _read_v2),
    "upload": Dialect(upload("file"), _read_field("probabilities")),
    "v1": Dialect(_v1, _read_field("predictions", 0)),
    "litserve": Dialect(_litserve, _read_field("probabilities")),
    "raw": Dialect(_raw, _read_field()),
    "v2 row": Dialect(v2_row, _read_v2),
    "api row": Dialect(_row, _read_field("probabilities")),
    "api": Dialect(_raw, _read_field("probabilities")),
}
GRPC = "v2 grpc"

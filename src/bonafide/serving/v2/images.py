"""Images as tensors of the Open Inference Protocol v2: files as BYTES, or pixels as UINT8."""

import binascii
import math
import struct
from typing import Any

import numpy as np
import pybase64
from kserve import InferInput, InferRequest

from bonafide.model.info import ModelInfo
from bonafide.serving.compute.engine import Items, Pixels
from bonafide.serving.edge.limits import MAXIMUM_IMAGES
from bonafide.serving.errors import RequestError
from bonafide.serving.v2.question import flat, raw

DATATYPES = {"image": "BYTES", "pixels": "UINT8"}
SMALLEST_SIDE = 8


def tensors(_: ModelInfo | None = None) -> list[dict[str, Any]]:
    """Either one is a request; -1 is a size that the client chooses."""
    return [
        {"name": "image", "datatype": "BYTES", "shape": [-1]},
        {"name": "pixels", "datatype": "UINT8", "shape": [-1, -1, -1, 3]},
    ]


def items(request: InferRequest, _: ModelInfo | None = None) -> Items:
    """Files, or uint8 [N, H, W, 3].

    Raises:
        RequestError: names the field, and the index where there is one.
    """
    if len(request.inputs) != 1:
        names = [tensor.name for tensor in request.inputs]
        raise RequestError(f"inputs: give exactly one, 'image' or 'pixels'; got {names or 'none'}")
    tensor = request.inputs[0]
    if tensor.name not in DATATYPES:
        raise RequestError(f"inputs: {tensor.name!r} is unknown; give 'image' or 'pixels'")
    if tensor.datatype != DATATYPES[tensor.name]:
        raise RequestError(
            f"{tensor.name}: datatype must be {DATATYPES[tensor.name]}, got {tensor.datatype!r}"
        )
    _check_shape(tensor)
    return _images(tensor) if tensor.name == "image" else _pixels(tensor)


def _check_shape(tensor: InferInput) -> None:
    shape, name = tensor.shape, tensor.name
    form = "[N]" if name == "image" else "[N, H, W, 3]"
    if len(shape) != form.count(",") + 1 or any(size < 0 for size in shape):
        raise RequestError(f"{name}: shape must be {form}, got {shape}")
    if shape[0] == 0:
        raise RequestError(f"{name}: empty; give at least one image")
    if shape[0] > MAXIMUM_IMAGES:
        raise RequestError(f"{name}: {shape[0]} images, at most {MAXIMUM_IMAGES} a request; split them", 413)
    if name == "pixels" and (shape[3] != 3 or min(shape[1:3]) < SMALLEST_SIDE):
        raise RequestError(f"{name}: shape must be {form} with sides of {SMALLEST_SIDE} or more, got {shape}")


def _images(tensor: InferInput) -> list[bytes | memoryview]:
    binary = raw(tensor)
    elements: Any = elements_of(binary, tensor.shape[0]) if binary is not None else tensor.data
    if not isinstance(elements, list) or len(elements) != tensor.shape[0]:
        found = len(elements) if isinstance(elements, list) else "no list"
        raise RequestError(f"image: shape says {tensor.shape[0]} images, the data has {found}")
    for index, element in enumerate(elements):
        elements[index] = _content(index, element)  # in place: a text goes as soon as its bytes are there
    return elements


def _content(index: int, element: Any) -> bytes | memoryview:
    if isinstance(element, bytes | memoryview):
        return element
    if not isinstance(element, str):
        raise RequestError(f"image[{index}]: must be a base64 string, got {type(element).__name__}")
    try:
        return pybase64.b64decode(element, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RequestError(f"image[{index}]: no valid base64: {error}") from error


def elements_of(raw: memoryview, count: int) -> list[memoryview]:
    """Binary BYTES tensors are elements that each follow their length, a little-endian uint32.

    Raises:
        RequestError: there are more than ``count``, or they do not fill the tensor.
    """
    elements: list[memoryview] = []
    position = 0
    while position < len(raw):
        if len(elements) == count:
            raise RequestError(f"image: shape says {count} images, the data has more")
        if position + 4 > len(raw):
            raise RequestError(f"image[{len(elements)}]: the binary data ends within a length prefix")
        (length,) = struct.unpack_from("<I", raw, position)
        position += 4 + length
        if position > len(raw):
            missing = position - len(raw)
            raise RequestError(f"image[{len(elements)}]: the binary data ends {missing} bytes too early")
        elements.append(raw[position - length : position])
    return elements


def _pixels(tensor: InferInput) -> Pixels:
    binary, size = raw(tensor), math.prod(tensor.shape)
    values = np.frombuffer(binary, dtype=np.uint8) if binary is not None else _numbers(tensor.data)
    if values.size != size:
        raise RequestError(f"pixels: shape {tensor.shape} needs {size} values, the data has {values.size}")
    return values.reshape(tensor.shape)


def _numbers(data: Any) -> Pixels:
    data = flat("pixels", data)
    try:
        if set(map(type, data)) <= {int}:
            return np.frombuffer(bytes(data), np.uint8)
    except ValueError:
        pass
    raise RequestError("pixels: values must be whole numbers from 0 to 255")

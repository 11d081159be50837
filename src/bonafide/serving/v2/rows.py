"""Rows of a table as tensors of the Open Inference Protocol v2: all columns as one, or a tensor each."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from kserve import InferInput, InferRequest

from bonafide.model.info import ModelInfo
from bonafide.serving.columns import ALL, Columns, rows_of
from bonafide.serving.compute.engine import Items
from bonafide.serving.edge.limits import MAXIMUM_ROWS
from bonafide.serving.errors import RequestError
from bonafide.serving.v2.question import flat, raw

WHOLE = {f"{sign}{bits}" for sign in ("INT", "UINT") for bits in (8, 16, 32, 64)}
DTYPES = {name: np.dtype(name.lower()).newbyteorder("<") for name in WHOLE}
DTYPES |= {"FP32": np.dtype("<f4"), "FP64": np.dtype("<f8")}


def tensors(info: ModelInfo) -> list[dict[str, Any]]:
    """The first one is a request, and so are the others together; -1 is a size that the client chooses."""
    each = [{"name": name, "datatype": "FP32", "shape": [-1]} for name in info.columns]
    return [{"name": ALL, "datatype": "FP32", "shape": [-1, len(each)]}, *each]


def items(request: InferRequest, info: ModelInfo) -> Items:
    """One block of rows, float32 [N, C].

    Raises:
        RequestError: names the field, and the row where there is one.
    """
    _refuse_others(request.inputs, info.columns)
    return [rows_of(columns(request), info.table)]


def _refuse_others(tensors: list[InferInput], names: tuple[str, ...]) -> None:
    """Before any value is looked at."""
    for tensor in tensors:
        if tensor.name not in (ALL, *names):
            raise RequestError(
                f"{tensor.name[:64]!r} is no column of this model; it takes {', '.join(names)}"
            )
        if tensor.name == ALL and len(tensor.shape) == 2 and 0 < tensor.shape[1] != len(names):
            shape = f"shape must be [N, {len(names)}]: {', '.join(names)}; got {tensor.shape}"
            raise RequestError(f"{ALL}: {shape}")


def columns(request: InferRequest) -> Columns:
    """Each tensor's numbers, [N]; those of ``columns`` alone may be [N, C].

    Raises:
        RequestError: names the field, and the value where there is one.
    """
    found: dict[str, npt.NDArray[Any]] = {}
    for tensor in request.inputs:
        if tensor.name in found:
            raise RequestError(f"inputs: {tensor.name!r} stands twice")
        found[tensor.name] = _numbers(tensor, wide=len(request.inputs) == 1 and tensor.name == ALL)
    if not found:
        raise RequestError(f"inputs: none; give {ALL!r}, or a tensor for each column")
    return found


def _numbers(tensor: InferInput, wide: bool) -> npt.NDArray[Any]:
    name, shape, kind = tensor.name, tensor.shape, tensor.datatype
    if kind not in DTYPES:
        raise RequestError(f"{name}: datatype must be one of numbers, such as FP32; got {kind!r}")
    _check_shape(name, shape, wide)
    binary, size = raw(tensor), math.prod(shape)
    if binary is not None and len(binary) != size * DTYPES[kind].itemsize:
        raise RequestError(f"{name}: shape {shape} of {kind} does not fit {len(binary)} bytes")
    values = _listed(tensor) if binary is None else np.frombuffer(binary, DTYPES[kind])
    if values.size != size:
        raise RequestError(f"{name}: shape {shape} needs {size} values, the data has {values.size}")
    return values.reshape(shape if wide else shape[0])


def _check_shape(name: str, shape: list[int], wide: bool) -> None:
    fits = len(shape) in (1, 2) and min(shape) >= 0
    if not fits or not (wide or shape[1:] in ([], [1])):
        raise RequestError(f"{name}: shape must be {'[N, C]' if wide else '[N] or [N, 1]'}, got {shape}")
    if 0 in shape:
        raise RequestError(f"{name}: empty; give at least one row")
    if shape[0] > MAXIMUM_ROWS:
        raise RequestError(f"{name}: {shape[0]:,} rows, at most {MAXIMUM_ROWS:,} a request; split them", 413)


def _listed(tensor: InferInput) -> npt.NDArray[Any]:
    """Numbers that stand in lists: a text or a truth value is none, although NumPy would take it for one."""
    values = flat(tensor.name, tensor.data)
    kinds = {int} if tensor.datatype in WHOLE else {int, float}
    if not set(map(type, values)) <= kinds:
        wrong = next(index for index, value in enumerate(values) if type(value) not in kinds)
        wanted = "a whole number" if tensor.datatype in WHOLE else "a number"
        kind = type(values[wrong]).__name__
        raise RequestError(f"{tensor.name}: value {wrong} must be {wanted}, as the datatype says; got {kind}")
    try:
        return np.array(values, DTYPES[tensor.datatype] if tensor.datatype in WHOLE else np.float64)
    except OverflowError:
        raise RequestError(f"{tensor.name}: a value is too large for {tensor.datatype}") from None

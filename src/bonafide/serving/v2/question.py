"""What a request of the Open Inference Protocol v2 asks, checked field by field before any work is done."""

from collections.abc import Iterable
from itertools import chain
from typing import Any, NamedTuple

from kserve import InferInput, InferRequest

from bonafide.modality import arm
from bonafide.model.info import ModelInfo
from bonafide.serving.compute.engine import Items
from bonafide.serving.errors import RequestError

DEFAULT_OUTPUTS = 3


class Question(NamedTuple):
    """``items`` are what the engine scores; ``outputs`` are the names wanted, in order."""

    items: Items
    outputs: tuple[str, ...]


def read(request: InferRequest, info: ModelInfo, outputs: Iterable[str]) -> Question:
    """Check a request and take its tensors out.

    Args:
        info: of the model that is asked.
        outputs: what it has; the first three are meant where a request names none.

    Raises:
        RequestError: names the field, and the index where there is one.
    """
    return Question(arm(info.input.modality, "question").items(request, info), _outputs(request, (*outputs,)))


def raw(tensor: InferInput) -> memoryview | None:
    """A binary tensor's bytes; None where its data stand in the JSON.

    kserve's public way to raw tensors converts them and fails with a 500 on a wrong length or shape.
    """
    return None if tensor._raw_data is None else memoryview(tensor._raw_data)


def flat(name: str, data: Any) -> Any:
    """A tensor's data as one list. NumPy would make room for the longest text in the place of each.

    Raises:
        RequestError: the lists in it are of different lengths.
    """
    while any(isinstance(part, list) for part in data):
        if not all(isinstance(part, list) for part in data) or len(set(map(len, data))) > 1:
            raise RequestError(f"{name}: the data is no regular array")
        data = list(chain.from_iterable(data))
    return data


def _outputs(request: InferRequest, outputs: tuple[str, ...]) -> tuple[str, ...]:
    if not request.request_outputs:
        return outputs[:DEFAULT_OUTPUTS]
    names = tuple(output.name for output in request.request_outputs)
    if unknown := [name for name in names if name not in outputs]:
        raise RequestError(f"outputs: {unknown[0]!r} is unknown; this model has {', '.join(outputs)}")
    if len(set(names)) != len(names):
        raise RequestError(f"outputs: each may stand once; got {list(names)}")
    return names

"""Asking a graph about a split of a dataset, as the predictor would: one thread a run, a run a core."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonafide.cores import available_cores
from bonafide.data.dataset import images
from bonafide.data.decoding import Pixels, decode_to
from bonafide.model.runtime import OnnxModel
from bonafide.threads import mapped

CHUNK = 32

Answers = dict[str, NDArray[np.float32]]


def answer(model: OnnxModel, dataset: Path, split: str, outputs: Sequence[str]) -> Answers:
    """Answers for all images of a split, in their order, by the name of the output; files are streamed.

    Raises:
        DataError: the split is not there.
    """

    def ask(contents: Sequence[bytes]) -> Answers:
        return model.run(np.concatenate([model.info.image.fitted(content) for content in contents]), outputs)

    return _joined(ask, _chunks(content for _, content in images(dataset, split)))


def classify(model: OnnxModel, pixels: Pixels) -> NDArray[np.float32]:
    """Probabilities FP32 [N, K] of ``pixels`` uint8 [N, S, S, 3]."""
    parts = (pixels[start : start + CHUNK] for start in range(0, len(pixels), CHUNK))
    return _joined(model.run, parts)["probabilities"]


def pixels_of(dataset: Path, split: str, rows: Iterable[int], size: int) -> dict[int, Pixels]:
    """Some images of a split by row, uint8 [S, S, 3] as a model of that input size sees them."""
    wanted = set(rows)
    return {
        row: decode_to(content, size)
        for row, (_, content) in enumerate(images(dataset, split))
        if row in wanted
    }


def _chunks(contents: Iterable[bytes]) -> Iterator[list[bytes]]:
    stream = iter(contents)
    while chunk := list(islice(stream, CHUNK)):
        yield chunk


def _joined(ask: Callable[[Any], Answers], parts: Iterable[Any]) -> Answers:
    cores = available_cores()
    with ThreadPoolExecutor(cores) as pool:
        answered = list(mapped(pool, ask, parts, ahead=2 * cores))
    return {name: np.concatenate([part[name] for part in answered]) for name in answered[0]}

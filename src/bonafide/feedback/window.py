"""Predictions of a while, as aligned arrays."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonafide.feedback.prediction import Prediction

STATISTICS = ("width", "height", "brightness", "jpeg_quality")


@dataclass(frozen=True)
class Window:
    """N predictions in the order of their times, and of their ids within one time.

    ``ids``, ``versions`` and ``labels`` are text [N], ``times`` FP64 [N] in seconds since 1970. ``names`` are
    K labels, sorted; ``probabilities`` FP32 [N, K] has their columns, ``confidences`` FP32 [N] is that of the
    label that was answered. ``embedded`` BOOL [N] says who has a row in ``embeddings`` FP32 [M, E].
    ``statistics`` has, by name, FP64 [N]: those of images, or a table's columns. What is not known is NaN.
    """

    ids: NDArray[np.str_]
    times: NDArray[np.float64]
    versions: NDArray[np.str_]
    labels: NDArray[np.str_]
    confidences: NDArray[np.float32]
    names: tuple[str, ...]
    probabilities: NDArray[np.float32]
    embedded: NDArray[np.bool_]
    embeddings: NDArray[np.float32]
    statistics: Mapping[str, NDArray[np.float64]]

    def __len__(self) -> int:
        return len(self.ids)

    def of(self, rows: NDArray[Any]) -> "Window":
        """Some of its predictions, by a mask or by indices."""
        place = np.cumsum(self.embedded) - 1
        kept = np.arange(len(self))[rows]
        aligned = ("ids", "times", "versions", "labels", "confidences", "probabilities", "embedded")
        return replace(
            self,
            **{name: getattr(self, name)[kept] for name in aligned},
            embeddings=self.embeddings[place[kept[self.embedded[kept]]]],
            statistics={name: values[kept] for name, values in self.statistics.items()},
        )


def window(found: Sequence[Prediction]) -> Window:
    """Predictions as arrays, in their order; an embedding unlike most others in size counts as none."""
    names = tuple(sorted({name for each in found for name in each.probabilities}))
    rows = [[_number(each.probabilities.get(name)) for name in names] for each in found]
    vectors = [None if each.embedding is None else np.frombuffer(each.embedding, "<f4") for each in found]
    size = _usual(vector.size for vector in vectors if vector is not None)
    others = sorted({name for each in found for name in each.statistics} - {*STATISTICS})
    kept = [vector for vector in vectors if vector is not None and vector.size == size]
    return Window(
        ids=np.array([each.id for each in found], dtype=np.str_),
        times=np.array([each.time.timestamp() for each in found], dtype=np.float64),
        versions=np.array([each.version for each in found], dtype=np.str_),
        labels=np.array([each.label for each in found], dtype=np.str_),
        confidences=np.array([_number(each.probabilities.get(each.label)) for each in found], np.float32),
        names=names,
        probabilities=np.array(rows, dtype=np.float32).reshape(len(found), len(names)),
        embedded=np.array([vector is not None and vector.size == size for vector in vectors], dtype=np.bool_),
        embeddings=np.array(kept, dtype=np.float32).reshape(len(kept), size),
        statistics={
            name: np.array([_number(each.statistics.get(name)) for each in found], dtype=np.float64)
            for name in (*STATISTICS, *others)
        },
    )


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _usual(sizes: Iterable[int]) -> int:
    found = list(sizes)
    return max(sorted(set(found)), key=found.count, default=0)

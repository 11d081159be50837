"""Percentile bootstrap over images (Efron & Tibshirani 1993, chapter 13), vectorised."""

import math
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Annotated, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, PlainSerializer

from bonafide.task import Config

Array = NDArray[np.float64]
Key = TypeVar("Key", bound=Hashable)

CELLS_A_CHUNK = 2_000_000
"""Weights held in memory at once: 16 MB."""

Number = Annotated[
    float,
    BeforeValidator(lambda value: math.nan if value is None else value),
    PlainSerializer(lambda value: value if math.isfinite(value) else None, return_type=float | None),
]
"""A float that is NaN where a measure is undefined, and null in JSON."""


class Interval(Config):
    """A measured value and the 95 % interval around it."""

    value: Number
    low: Number
    high: Number

    def __str__(self) -> str:
        if not math.isfinite(self.value):
            return "undefined"
        if not math.isfinite(self.low):
            return f"{self.value:.3f}"
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def bootstrap(
    statistics: Callable[[Array], Mapping[Key, Array]], images: int, samples: int, seed: int
) -> dict[Key, Interval]:
    """Every statistic on the whole set, with the 2.5 and 97.5 percentiles over resamples.

    The same weights serve all statistics of a resample, so a difference of two is a paired one.

    Args:
        statistics: takes float64 [B, images], how often each image stands in each of B resamples, and
            returns float64 [B] by name; NaN marks resamples in which a statistic is undefined.
        images: the number of images, at least 1.
        samples: the number of resamples.
        seed: fixes the resamples.
    """
    values = statistics(np.ones((1, images)))
    chunks = [statistics(weights) for weights in _resamples(images, samples, seed)]
    return {
        key: _interval(float(value[0]), np.concatenate([chunk[key] for chunk in chunks]))
        for key, value in values.items()
    }


def _resamples(images: int, samples: int, seed: int) -> Iterator[Array]:
    generator = np.random.default_rng(seed)
    rows_a_chunk = max(1, CELLS_A_CHUNK // images)
    for start in range(0, samples, rows_a_chunk):
        rows = min(rows_a_chunk, samples - start)
        drawn = generator.integers(0, images, (rows, images)) + images * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * images).reshape(rows, images).astype(np.float64)


def _interval(value: float, replicates: Array) -> Interval:
    defined = replicates[np.isfinite(replicates)]
    if not defined.size:
        return Interval(value=value, low=math.nan, high=math.nan)
    low, high = np.quantile(defined, [0.025, 0.975])
    return Interval(value=value, low=float(low), high=float(high))

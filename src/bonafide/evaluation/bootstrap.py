"""The bootstrap over groups of images (Davison & Hinkley 1997, section 3.8), vectorised."""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from bonafide.evaluation.intervals import Basis, Interval, Method, Outcome, basis

Array = NDArray[np.float64]
Key = TypeVar("Key", bound=Hashable)
Needs = Sequence[NDArray[np.bool_]]

CELLS_A_CHUNK = 2_000_000
"""Weights held in memory at once: 16 MB."""


def bootstrap(
    statistics: Callable[[Array], Mapping[Key, Array]],
    groups: NDArray[np.int64],
    samples: int,
    seed: int,
    method: Method,
    needs: Mapping[Key, Needs] | None = None,
    outcomes: Mapping[Key, Outcome] | None = None,
) -> dict[Key, Interval]:
    """Every statistic on the whole set, with an interval from its variance over resampled groups.

    A resample draws as many groups as there are, with replacement; images of one group come and go together.
    If every image is a group of its own, this is the bootstrap over images. The same weights serve all
    statistics of a resample, so a difference of two is a paired one.

    Args:
        statistics: takes float64 [B, N], how often each of N images stands in each of B resamples, and
            returns float64 [B] by name; NaN marks resamples in which a statistic is undefined.
        groups: int64 [N], the group of each image, 0 to G - 1, each at least once.
        samples: the number of resamples.
        seed: fixes the resamples.
        method: of the interval, e.g. :func:`bonafide.evaluation.intervals.of_share`.
        needs: the images that a statistic rests on, as for :func:`bonafide.evaluation.intervals.basis`;
            all of them if it is not named.
        outcomes: of the images that a statistic is a share of, as for the same function.
    """
    all_images = np.ones(len(groups), bool)
    values = statistics(np.ones((1, len(groups))))
    chunks = [statistics(weights) for weights in _resamples(groups, samples, seed)]
    found = {}
    for key, value in values.items():
        rests = basis(groups, (needs or {}).get(key, [all_images]), (outcomes or {}).get(key))
        replicates = np.concatenate([chunk[key] for chunk in chunks])
        found[key] = method(float(value[0]), _variance(replicates, rests), rests)
    return found


def _resamples(groups: NDArray[np.int64], samples: int, seed: int) -> Iterator[Array]:
    generator = np.random.default_rng(seed)
    count = int(groups.max()) + 1
    rows_a_chunk = max(1, CELLS_A_CHUNK // len(groups))
    for start in range(0, samples, rows_a_chunk):
        rows = min(rows_a_chunk, samples - start)
        drawn = generator.integers(0, count, (rows, count)) + count * np.arange(rows)[:, None]
        times = np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count)
        yield times[:, groups].astype(np.float64)


def _variance(replicates: Array, rests: Basis) -> float:
    """Over the resamples in which the statistic is defined. Resampling n groups gives (n - 1) / n of it."""
    defined = replicates[np.isfinite(replicates)]
    return float(defined.var()) * (1 + 1 / rests.freedom) if defined.size else np.nan

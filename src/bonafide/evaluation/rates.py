"""Accuracies and error rates of parts of a test set: sides, slices, labels within a slice."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from bonafide.evaluation import statistics
from bonafide.evaluation.bootstrap import Array
from bonafide.evaluation.statistics import Flags, Labels

Key = tuple[str, ...]
Rates = dict[Key, tuple[Flags, Flags]]


def rates(
    truth: Labels, predicted: Labels, labels: tuple[str, ...], slices: Mapping[str, Sequence[str | None]]
) -> Rates:
    """Every share of images that is measured: by key the images that count and those they are a share of.

    Args:
        truth: int64 [N].
        predicted: int64 [N].
        labels: names, the negative class first.
        slices: by slice name one value an image; None leaves an image out.

    Returns:
        Two bool [N] by key.
    """
    correct, side = predicted == truth, (predicted != 0) == (truth != 0)
    found: Rates = {
        ("binary", "accuracy"): (side, np.full(len(truth), True)),
        ("binary", "true_positive_rate"): (predicted != 0, truth != 0),
        ("binary", "false_positive_rate"): (predicted != 0, truth == 0),
    }
    for name, values in slices.items():
        column = np.array(values, dtype=object)
        for value in values_of(values):
            within = column == value
            found["slice", name, value, "accuracy"] = correct, within
            found["slice", name, value, "binary_accuracy"] = side, within
            for index in np.unique(truth[within]):
                asked = within & (truth == index)
                found["slice", name, value, "recall", labels[index]] = correct, asked
    return found


def rated(weights: Array, parts: Rates) -> dict[Key, Array]:
    """The shares in each of B resamples, float64 [B] by key; NaN where nothing was asked."""
    asked = np.array([asked for _, asked in parts.values()], dtype=np.float64).T
    right = np.array([right & asked for right, asked in parts.values()], dtype=np.float64).T
    found = statistics.ratio(weights @ right, weights @ asked, np.nan)
    return dict(zip(parts, found.T, strict=True))


def values_of(values: Iterable[str | None]) -> list[str]:
    """The distinct values of a slice, sorted."""
    return sorted({value for value in values if value is not None})

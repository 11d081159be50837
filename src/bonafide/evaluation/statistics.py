"""The measures themselves, for many weightings of the images at once.

``weights`` is float64 [B, N]: how often each of N images stands in each of B resamples. Every function
returns float64 [B] arrays (or [B, …] where said), so that one code path gives values and intervals.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bonafide.evaluation.bootstrap import Array
from bonafide.evaluation.intervals import Outcome

Labels = NDArray[np.int64]
Flags = NDArray[np.bool_]
Key = tuple[str, ...]
Rates = dict[Key, Outcome]


def ratio(numerator: Array, denominator: Array, undefined: float) -> Array:
    """``numerator / denominator``, and ``undefined`` where the denominator is 0."""
    result = np.full(np.broadcast(numerator, denominator).shape, undefined)
    np.divide(numerator, denominator, out=result, where=denominator != 0)
    return result


def confusion(weights: Array, truth: Labels, predicted: Labels, classes: int) -> Array:
    """Weighted counts, float64 [B, K, K]: rows are the truth, columns the prediction."""
    cells = np.zeros((len(truth), classes * classes))
    cells[np.arange(len(truth)), truth * classes + predicted] = 1
    return (weights @ cells).reshape(-1, classes, classes)


def by_label(counts: Array) -> tuple[Array, Array, Array]:
    """Precision, recall and F1 of each label, float64 [B, K] each, from counts [B, K, K]; 0/0 is 0."""
    hits = np.diagonal(counts, axis1=1, axis2=2)
    support, chosen = counts.sum(2), counts.sum(1)
    return (
        ratio(hits, chosen, 0.0),
        ratio(hits, support, 0.0),
        ratio(2 * hits, support + chosen, 0.0),
    )


def accuracy(counts: Array) -> Array:
    """The share of images on the diagonal of counts [B, K, K]."""
    return ratio(np.trace(counts, axis1=1, axis2=2), counts.sum((1, 2)), np.nan)


def balanced_accuracy(counts: Array) -> Array:
    """The mean recall of the labels that occur in the truth of counts [B, K, K]."""
    support = counts.sum(2)
    recalls = ratio(np.diagonal(counts, axis1=1, axis2=2), support, 0.0).sum(1)
    return ratio(recalls, (support > 0).sum(1), np.nan)


def ranking(weights: Array, positive: Flags, score: NDArray[np.floating]) -> tuple[Array, Array]:
    """AUROC (Mann-Whitney U, ties count half) and average precision (the step-wise sum, no interpolation).

    Args:
        weights: float64 [B, N].
        positive: bool [N].
        score: [N], higher is more positive.

    Returns:
        Two float64 [B]; NaN where positives (both) or negatives (AUROC) are absent.
    """
    order = np.argsort(-score, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(score[order]) != 0])
    ordered, is_positive = weights[:, order], positive[order]
    positives = np.add.reduceat(ordered * is_positive, starts, axis=1)
    negatives = np.add.reduceat(ordered * ~is_positive, starts, axis=1)
    hits, alarms = positives.cumsum(1), negatives.cumsum(1)
    pairs = hits[:, -1] * alarms[:, -1]
    auroc = ratio((negatives * (hits - positives / 2)).sum(1), pairs, np.nan)
    precision = ratio(hits, hits + alarms, 0.0)
    return auroc, ratio((positives * precision).sum(1), hits[:, -1], np.nan)


def bins_of(confidence: Array, bins: int) -> Labels:
    """The equal-width bin of [0, 1] that each confidence [N] falls in; a bin owns its lower edge."""
    edges = np.linspace(0, 1, bins + 1)
    return np.clip(np.searchsorted(edges, confidence, side="right") - 1, 0, bins - 1).astype(np.int64)


def binned(weights: Array, which: Labels, bins: int, values: Array) -> Array:
    """The weighted sum of ``values`` [N] in each bin, float64 [B, bins]."""
    cells = np.zeros((len(which), bins))
    cells[np.arange(len(which)), which] = values
    return weights @ cells


def expected_calibration_error(weights: Array, confidence: Array, correct: Flags, bins: int) -> Array:
    """ECE (Guo et al. 2017, equation 3): mean |accuracy - confidence| over bins, by their share of images."""
    gap = binned(weights, bins_of(confidence, bins), bins, correct - confidence)
    return ratio(np.abs(gap).sum(1), weights.sum(1), np.nan)


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
    found = ratio(weights @ right, weights @ asked, np.nan)
    return dict(zip(parts, found.T, strict=True))


def values_of(values: Iterable[str | None]) -> list[str]:
    """The distinct values of a slice, sorted."""
    return sorted({value for value in values if value is not None})

"""How good a model is on held-out images: every measure with a 95 % bootstrap interval."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bonafide.errors import DataError
from bonafide.evaluation import statistics
from bonafide.evaluation.bootstrap import Array, Interval, Number, bootstrap
from bonafide.evaluation.statistics import Flags, Key, Labels, rated, rates, values_of
from bonafide.task import Config

BINS = 15
CONFIDENT = 0.9


class LabelMetrics(Config):
    """One label against all others."""

    precision: Interval
    recall: Interval
    f1: Interval
    support: int


class BinaryMetrics(Config):
    """The first label (``negative``) against all others, e.g. real against fake.

    The score is 1 - P(negative); the decision is that of the most probable label.
    """

    negative: str
    accuracy: Interval
    auroc: Interval
    true_positive_rate: Interval
    false_positive_rate: Interval


class SliceMetrics(Config):
    """The images that share one value of a slice, e.g. one generator.

    ``binary_accuracy`` asks only for real or not; ``recall`` holds the labels that occur in the slice.
    """

    n: int
    accuracy: Interval
    binary_accuracy: Interval
    recall: dict[str, Interval]


class Bin(Config):
    """One bar of the reliability diagram; means are NaN in an empty bin."""

    low: float
    high: float
    n: int
    confidence: Number
    accuracy: Number


class Baseline(Config):
    """What always answering the most frequent label would score."""

    label: str
    accuracy: float


class Metrics(Config):
    """Everything measured on one set of images. A measure that is undefined is NaN, and null in JSON.

    Macro averages weigh labels alike and count a label that is never right as 0 (scikit-learn's
    ``zero_division=0``). ``auroc`` is the macro mean of one-versus-rest. ``ece`` has 15 equal-width bins
    of the top confidence; resampling noise adds to it, so its interval leans upward. ``confident_errors``
    counts wrong answers with a confidence of 0.9 or more. Intervals resample images; images that share
    an origin are alike, so for new origins the true uncertainty is larger.
    """

    n: int
    samples: int
    seed: int
    accuracy: Interval
    balanced_accuracy: Interval
    macro_precision: Interval
    macro_recall: Interval
    macro_f1: Interval
    auroc: Interval
    average_precision: Interval
    ece: Interval
    labels: dict[str, LabelMetrics]
    binary: BinaryMetrics
    baseline: Baseline
    confident_errors: int
    confusion: tuple[tuple[int, ...], ...]
    reliability: tuple[Bin, ...]
    slices: dict[str, dict[str, SliceMetrics]]


def measure(
    truth: NDArray[np.int64],
    probabilities: NDArray[np.float32],
    labels: tuple[str, ...],
    samples: int,
    seed: int,
    slices: Mapping[str, Sequence[str | None]] | None = None,
) -> Metrics:
    """Measure predictions.

    Args:
        truth: int64 [N], indices into ``labels``.
        probabilities: float32 [N, K]; rows sum to 1.
        labels: K names, the negative class first.
        samples: bootstrap resamples.
        seed: of the resamples.
        slices: by slice name one value an image; None leaves an image out of that slice.

    Raises:
        DataError: predictions that cannot be measured, or a slice of another length.
    """
    check_predictions(truth, probabilities, len(labels))
    for name, values in (slices or {}).items():
        if len(values) != len(truth):
            raise DataError(f"slice {name!r} has {len(values)} values for {len(truth)} images")
    predicted = probabilities.argmax(1).astype(np.int64)
    confidence = probabilities.max(1).astype(np.float64)
    correct = predicted == truth
    asked = rates(truth, predicted, labels, slices or {})

    def every(weights: Array) -> dict[Key, Array]:
        return {
            **_counted(statistics.confusion(weights, truth, predicted, len(labels)), labels),
            **_ranked(weights, truth, probabilities),
            **rated(weights, asked),
            ("ece",): statistics.expected_calibration_error(weights, confidence, correct, BINS),
        }

    found = bootstrap(every, len(truth), samples, seed)
    support = np.bincount(truth, minlength=len(labels))
    once = np.ones((1, len(truth)))
    return Metrics(
        n=len(truth),
        samples=samples,
        seed=seed,
        **{key[0]: interval for key, interval in found.items() if len(key) == 1},
        labels={
            label: LabelMetrics(support=int(support[index]), **_under(found, "label", label))
            for index, label in enumerate(labels)
        },
        binary=BinaryMetrics(negative=labels[0], **_under(found, "binary")),
        baseline=Baseline(label=labels[support.argmax()], accuracy=support.max() / len(truth)),
        confident_errors=int((~correct & (confidence >= CONFIDENT)).sum()),
        confusion=statistics.confusion(once, truth, predicted, len(labels))[0].astype(int).tolist(),
        reliability=_reliability(confidence, correct),
        slices={
            name: {value: _slice(found, name, value, values) for value in values_of(values)}
            for name, values in (slices or {}).items()
        },
    )


def _counted(counts: Array, labels: tuple[str, ...]) -> dict[Key, Array]:
    precision, recall, f1 = statistics.by_label(counts)
    found: dict[Key, Array] = {
        ("accuracy",): statistics.accuracy(counts),
        ("balanced_accuracy",): statistics.balanced_accuracy(counts),
    }
    for name, values in (("precision", precision), ("recall", recall), ("f1", f1)):
        found[f"macro_{name}",] = values.mean(1)
        found |= {("label", label, name): values[:, index] for index, label in enumerate(labels)}
    return found


def _ranked(weights: Array, truth: Labels, probabilities: NDArray[np.float32]) -> dict[Key, Array]:
    aurocs, precisions = zip(
        *(
            statistics.ranking(weights, truth == index, scores)
            for index, scores in enumerate(probabilities.T)
        ),
        strict=True,
    )
    return {
        ("auroc",): np.mean(aurocs, axis=0),
        ("average_precision",): np.mean(precisions, axis=0),
        ("binary", "auroc"): statistics.ranking(weights, truth != 0, -probabilities[:, 0])[0],
    }


def _reliability(confidence: Array, correct: Flags) -> tuple[Bin, ...]:
    which = statistics.bins_of(confidence, BINS)
    counts = np.bincount(which, minlength=BINS).astype(np.float64)
    means = [
        statistics.ratio(
            np.bincount(which, weights=values, minlength=BINS).astype(np.float64), counts, np.nan
        )
        for values in (confidence, correct)
    ]
    return tuple(
        Bin(low=i / BINS, high=(i + 1) / BINS, n=int(counts[i]), confidence=means[0][i], accuracy=means[1][i])
        for i in range(BINS)
    )


def _slice(
    found: Mapping[Key, Interval], name: str, value: str, values: Sequence[str | None]
) -> SliceMetrics:
    return SliceMetrics(
        n=sum(each == value for each in values),
        recall=_under(found, "slice", name, value, "recall"),
        **_under(found, "slice", name, value),
    )


def _under(found: Mapping[Key, Interval], *prefix: str) -> dict[str, Interval]:
    depth = len(prefix)
    return {
        key[-1]: interval
        for key, interval in found.items()
        if key[:depth] == prefix and len(key) == depth + 1
    }


def check_predictions(truth: NDArray[np.int64], probabilities: NDArray[np.float32], classes: int) -> None:
    """Refuse predictions that cannot be measured.

    Args:
        truth: int64 [N].
        probabilities: float32 [N, K].
        classes: K.

    Raises:
        DataError: no images, shapes that do not match, a label index out of range or a probability
            that is not a finite number.
    """
    if not len(truth):
        raise DataError("no images to measure: the split is empty; give it more groups")
    if probabilities.shape != (len(truth), classes):
        raise DataError(
            f"probabilities are {list(probabilities.shape)}, expected {[len(truth), classes]}: "
            "one row an image, one column a label"
        )
    if truth.min() < 0 or truth.max() >= classes:
        raise DataError(f"labels run from {truth.min()} to {truth.max()}; the task has 0 to {classes - 1}")
    if broken := int((~np.isfinite(probabilities)).any(1).sum()):
        raise DataError(
            f"probabilities of {broken} of {len(truth)} images are not finite: the training diverged; "
            "lower model.learning_rate"
        )

"""Measure predictions: every metric, with an interval from resampling the groups."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonafide.errors import DataError
from bonafide.evaluation import statistics
from bonafide.evaluation.bootstrap import Array, Needs, bootstrap
from bonafide.evaluation.intervals import Interval, basis, of_share
from bonafide.evaluation.metrics import (
    BINS,
    CONFIDENT,
    Baseline,
    Bin,
    BinaryMetrics,
    Certainty,
    LabelMetrics,
    Metrics,
    SliceMetrics,
)
from bonafide.evaluation.statistics import Flags, Key, Labels, Rates, rated, rates, values_of
from bonafide.model.decision import Decided, label_of

Slices = Mapping[str, Sequence[str | None]]


def measure(
    truth: Labels,
    probabilities: NDArray[np.float32],
    labels: tuple[str, ...],
    groups: NDArray[np.int64],
    samples: int,
    seed: int,
    slices: Slices | None = None,
    noun: str = "image",
) -> Metrics:
    """Measure predictions.

    Args:
        truth: int64 [N], indices into ``labels``.
        probabilities: float32 [N, K]; rows sum to 1.
        labels: K names, the negative class first.
        groups: int64 [N], the group of each image, 0 to G - 1, each at least once.
        samples: bootstrap resamples.
        seed: of the resamples.
        slices: by slice name one value an image; None leaves an image out of that slice.
        noun: what one input is called.

    Raises:
        DataError: predictions that cannot be measured, or groups or a slice of another length.
    """
    slices = slices or {}
    check_predictions(truth, probabilities, len(labels))
    _check_lengths(len(truth), {"group": groups, **slices})
    predicted = label_of(probabilities)
    confidence = probabilities.max(1).astype(np.float64)
    correct = predicted == truth
    asked = rates(truth, predicted, labels, slices)

    def every(weights: Array) -> dict[Key, Array]:
        return {
            **_counted(statistics.confusion(weights, truth, predicted, len(labels)), labels),
            **_ranked(weights, truth, probabilities),
            **rated(weights, asked),
            ("ece",): statistics.expected_calibration_error(weights, confidence, correct, BINS),
        }

    needs = _needs(truth, predicted, labels) | {key: (within,) for key, (_, within) in asked.items()}
    outcomes = _outcomes(truth, predicted, labels) | asked
    found = bootstrap(every, groups, samples, seed, of_share, needs, outcomes)
    support = np.bincount(truth, minlength=len(labels))
    once = np.ones((1, len(truth)))
    return Metrics(
        noun=noun,
        n=len(truth),
        **_grouped(groups, np.ones(len(truth), bool)),
        samples=samples,
        seed=seed,
        **{key[0]: interval for key, interval in found.items() if len(key) == 1},
        labels={
            label: LabelMetrics(
                support=int(support[index]),
                **_grouped(groups, truth == index),
                **_under(found, "label", label),
            )
            for index, label in enumerate(labels)
        },
        binary=BinaryMetrics(negative=labels[0], **_under(found, "binary")),
        baseline=Baseline(label=labels[support.argmax()], accuracy=support.max() / len(truth)),
        confident_errors=int((~correct & (confidence >= CONFIDENT)).sum()),
        confusion=statistics.confusion(once, truth, predicted, len(labels))[0].astype(int).tolist(),
        reliability=_reliability(confidence, correct),
        slices={
            name: {value: _slice(found, groups, name, value, values) for value in values_of(values)}
            for name, values in slices.items()
        },
    )


def measure_certainty(
    truth: Labels, decided: Decided, groups: NDArray[np.int64], samples: int, seed: int
) -> Certainty:
    """How often answers are uncertain, and how often the others are right; as :func:`measure` does it."""
    certain, every = ~decided.uncertain, np.ones(len(truth), bool)
    parts: Rates = {
        ("uncertain",): (decided.uncertain, every),
        ("accuracy_of_certain",): (decided.label == truth, certain),
    }
    needs: dict[Key, Needs] = {key: (within,) for key, (_, within) in parts.items()}
    found = bootstrap(lambda weights: rated(weights, parts), groups, samples, seed, of_share, needs, parts)
    return Certainty(**{name: interval for (name, *_), interval in found.items()})


def _needs(truth: Labels, predicted: Labels, labels: tuple[str, ...]) -> dict[Key, Needs]:
    """The images that a measure cannot do without; what is not named needs no kind of image in particular."""
    of_label = [truth == index for index in range(len(labels))]
    called = [predicted == index for index in range(len(labels))]
    found: dict[Key, Needs] = {
        ("macro_precision",): called,
        ("balanced_accuracy",): [images for images in of_label if images.any()],
        ("binary", "auroc"): [of_label[0], ~of_label[0]],
    }
    found |= {(name,): of_label for name in ("macro_recall", "macro_f1", "auroc", "average_precision")}
    for index, label in enumerate(labels):
        found["label", label, "precision"] = [called[index]]
        found |= {("label", label, name): [of_label[index]] for name in ("recall", "f1")}
    return found


def _outcomes(truth: Labels, predicted: Labels, labels: tuple[str, ...]) -> Rates:
    """The right answers behind every measure that counts them; a ranking and a calibration error do not."""
    correct, every = predicted == truth, np.ones(len(truth), bool)
    means = ("accuracy", "balanced_accuracy", "macro_precision", "macro_recall", "macro_f1")
    found: Rates = {(name,): (correct, every) for name in means}
    for index, label in enumerate(labels):
        of_label, called = truth == index, predicted == index
        found["label", label, "precision"] = correct, called
        found["label", label, "recall"] = correct, of_label
        found["label", label, "f1"] = correct, called | of_label
    return found


def _grouped(groups: NDArray[np.int64], within: Flags) -> dict[str, Any]:
    rests = basis(groups, [within])
    return {"groups": rests.groups, "effective_groups": rests.effective}


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
    found: Mapping[Key, Interval],
    groups: NDArray[np.int64],
    name: str,
    value: str,
    values: Sequence[str | None],
) -> SliceMetrics:
    within = np.array([each == value for each in values])
    return SliceMetrics(
        n=int(within.sum()),
        **_grouped(groups, within),
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


def _check_lengths(answers: int, columns: Mapping[str, Sequence[str | None] | NDArray[np.int64]]) -> None:
    for name, values in columns.items():
        if len(values) != answers:
            raise DataError(f"column {name!r} has {len(values)} values for {answers} answers")


def check_predictions(truth: NDArray[np.int64], probabilities: NDArray[np.float32], classes: int) -> None:
    """Refuse predictions that cannot be measured.

    Args:
        truth: int64 [N].
        probabilities: float32 [N, K].
        classes: K.

    Raises:
        DataError: no answers, shapes that do not match, a label index out of range or a probability
            that is not a finite number.
    """
    if not len(truth):
        raise DataError("no answers to measure: the split is empty; give it more groups")
    if probabilities.shape != (len(truth), classes):
        raise DataError(
            f"probabilities are {list(probabilities.shape)}, expected {[len(truth), classes]}: "
            "one row an answer, one column a label"
        )
    if truth.min() < 0 or truth.max() >= classes:
        raise DataError(f"labels run from {truth.min()} to {truth.max()}; the task has 0 to {classes - 1}")
    if broken := int((~np.isfinite(probabilities)).any(1).sum()):
        raise DataError(
            f"probabilities of {broken} of {len(truth)} answers are not finite: the training diverged; "
            "lower model.learning_rate"
        )

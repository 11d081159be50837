"""Where a model fails, told from what was measured."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bonafide.evaluation.metrics import CONFIDENT, Metrics
from bonafide.evaluation.robustness import Degraded
from bonafide.model.decision import Decided


def confident_errors(truth: NDArray[np.int64], decided: Decided, limit: int) -> NDArray[np.int64]:
    """Indices of at most ``limit`` wrong answers, the most confident first.

    Args:
        truth: int64 [N].
        decided: N answers.
    """
    wrong = np.flatnonzero(decided.label != truth)
    return wrong[np.argsort(-decided.confidence[wrong], kind="stable")][:limit]


def representatives(truth: NDArray[np.int64], decided: Decided, per_label: int) -> NDArray[np.int64]:
    """Indices of right answers whose confidence is nearest to their label's median, label by label.

    Args:
        truth: int64 [N].
        decided: N answers.
        per_label: at most so many of each label.
    """
    confidence, right = decided.confidence, decided.label == truth
    chosen = []
    for label in np.unique(truth[right]):
        members = np.flatnonzero(right & (truth == label))
        distance = np.abs(confidence[members] - np.median(confidence[members]))
        chosen.append(members[np.argsort(distance, kind="stable")][:per_label])
    return np.concatenate(chosen) if chosen else np.empty(0, np.int64)


def known_failures(metrics: Metrics, robustness: Sequence[Degraded]) -> tuple[str, ...]:
    """Sentences about the worst of everything that was measured; none where nothing went wrong."""
    found = (
        _worst_label(metrics),
        _most_frequent_confusion(metrics),
        *(_worst_slice(metrics, name) for name in metrics.slices),
        _worst_degradation(metrics, robustness),
        _false_alarms(metrics),
        _confident(metrics),
    )
    return tuple(sentence for sentence in found if sentence)


def _worst_label(metrics: Metrics) -> str:
    present = {name: label for name, label in metrics.labels.items() if label.support}
    name, worst = min(present.items(), key=lambda each: each[1].recall.value)
    if worst.recall.value == 1:
        return ""
    where = _of(metrics, worst.support, worst.groups)
    return f"The label missed most is {name}: recall {worst.recall} over {where}."


def _most_frequent_confusion(metrics: Metrics) -> str:
    counts = np.array(metrics.confusion)
    support = counts.sum(1)
    np.fill_diagonal(counts, 0)
    truth, answer = np.unravel_index(counts.argmax(), counts.shape)
    if not (times := counts[truth, answer]):
        return ""
    names = list(metrics.labels)
    share = times / support[truth]
    return (
        f"The most frequent confusion is {names[truth]} taken for {names[answer]}: "
        f"{times} time{'' if times == 1 else 's'}, {100 * share:.0f} % of {names[truth]}."
    )


def _worst_slice(metrics: Metrics, name: str) -> str:
    slices = metrics.slices[name]
    if len(slices) < 2:
        return ""
    value, worst = min(slices.items(), key=lambda each: each[1].accuracy.value)
    if worst.accuracy.value == 1:
        return ""
    where = _of(metrics, worst.n, worst.groups)
    return f"The weakest {name} is {value}: accuracy {worst.accuracy} over {where}."


def _of(metrics: Metrics, count: int, groups: int) -> str:
    return f"{count} {metrics.noun}{'s' * (count != 1)} in {groups} group{'s' * (groups != 1)}"


def _worst_degradation(metrics: Metrics, robustness: Sequence[Degraded]) -> str:
    worst = min(robustness, key=lambda each: each.accuracy, default=None)
    if worst is None or worst.accuracy >= metrics.accuracy.value:
        return ""
    return (
        f"The most harmful degradation is {worst.title}: accuracy falls from "
        f"{metrics.accuracy.value:.3f} to {worst.accuracy:.3f}."
    )


def _false_alarms(metrics: Metrics) -> str:
    rate = metrics.binary.false_positive_rate
    if not rate.value > 0:
        return ""
    whose = f"{metrics.noun.capitalize()}s of {metrics.binary.negative}"
    return f"{whose} are given another label at a rate of {rate}."


def _confident(metrics: Metrics) -> str:
    if not metrics.confident_errors:
        return ""
    errors = metrics.n - int(np.trace(np.array(metrics.confusion)))
    return (
        f"{metrics.confident_errors} of {errors} wrong answers carry a confidence of {CONFIDENT:g} or more: "
        "confidence alone does not catch them."
    )

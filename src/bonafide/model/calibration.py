"""Making confidences mean what they say, and choosing operating thresholds; both fitted on validation."""

import numpy as np
from numpy.typing import NDArray

from bonafide.model.decision import label_of

SPREAD = 0.5
"""Of the prior of a temperature's logarithm: it is between 0.4 and 2.7 with 95 %."""


def fit_temperature(logits: NDArray[np.float32], truth: NDArray[np.int64]) -> float:
    """The temperature in 0.05..20 that minimises the negative log-likelihood (Guo et al. 2017, §4.2).

    Its logarithm has a normal prior about 0: without an error among few answers the likelihood alone would
    make each as sure as can be. Among many answers the prior does not count.

    Args:
        logits: float32 [N, K].
        truth: int64 [N].
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    scores = logits.astype(np.float64)

    def loss(log_temperature: float) -> float:
        scaled = log_softmax(scores / np.exp(log_temperature), axis=1)
        surprise = -scaled[np.arange(len(truth)), truth].sum()
        return float(surprise + (log_temperature / SPREAD) ** 2 / 2)

    return float(np.exp(minimize_scalar(loss, bounds=np.log([0.05, 20.0]), method="bounded").x))


def operating_thresholds(
    probabilities: NDArray[np.float32], truth: NDArray[np.int64], labels: tuple[str, ...], precision: float
) -> dict[str, float]:
    """For each label the least confidence from which on its answers are right often enough.

    Answers below it are those that a person should look at: selective classification with a wanted risk
    (Geifman & El-Yaniv 2017, §3, without their bound). A label that is never answered, or whose answers never
    reach the precision, has the threshold 1.

    Args:
        probabilities: float32 [N, K], calibrated.
        truth: int64 [N].
        labels: K names.
        precision: the share of answers at or above the threshold that must be right.
    """
    label, confidence = label_of(probabilities), probabilities.max(axis=1)
    thresholds = {}
    for number, name in enumerate(labels):
        members = np.flatnonzero(label == number)
        order = members[np.argsort(-confidence[members], kind="stable")]
        right = np.cumsum(truth[order] == number) / np.arange(1, len(order) + 1)
        last_of_equals = np.diff(confidence[order], append=-1) != 0
        reached = np.flatnonzero((right >= precision) & last_of_equals)
        thresholds[name] = float(confidence[order[reached[-1]]]) if reached.size else 1.0
    return thresholds

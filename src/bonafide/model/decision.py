"""The one rule by which probabilities become an answer; it travels in the package."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bonafide.config import Config, Fraction


class Decision(Config):
    """The label is the most probable one, the first of equals.

    An answer is uncertain where that probability is below the label's threshold. Thresholds are fitted on
    validation data (:func:`bonafide.model.calibration.operating_thresholds`).
    """

    rule: Literal["most-probable"] = "most-probable"
    thresholds: dict[str, Fraction]


@dataclass(frozen=True)
class Decided:
    """For N answers: label int64 [N] (an index), confidence [N] (its probability), uncertain bool [N]."""

    label: NDArray[np.int64]
    confidence: NDArray[np.float32]
    uncertain: NDArray[np.bool_]


def label_of(probabilities: NDArray[np.float32]) -> NDArray[np.int64]:
    """The label, an index int64 [N], of probabilities float32 [N, K]."""
    label: NDArray[np.int64] = probabilities.argmax(axis=1)
    return label


def decide(probabilities: NDArray[np.float32], labels: tuple[str, ...], decision: Decision) -> Decided:
    """Apply the rule.

    Args:
        probabilities: float32 [N, K], calibrated.
        labels: K names, each with a threshold in ``decision``.
    """
    label = label_of(probabilities)
    confidence = probabilities.max(axis=1)
    thresholds = np.array([decision.thresholds[name] for name in labels], probabilities.dtype)
    return Decided(label, confidence, confidence < thresholds[label])

"""Making confidences mean what they say, and choosing operating thresholds; both fitted on validation."""

import numpy as np
from numpy.typing import NDArray


def fit_temperature(logits: NDArray[np.float32], truth: NDArray[np.int64]) -> float:
    """The temperature in 0.05..20 that minimises the negative log-likelihood (Guo et al. 2017, §4.2).

    Args:
        logits: float32 [N, K].
        truth: int64 [N].
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    scores = logits.astype(np.float64)

    def loss(log_temperature: float) -> float:
        scaled = log_softmax(scores / np.exp(log_temperature), axis=1)
        return float(-scaled[np.arange(len(truth)), truth].mean())

    return float(np.exp(minimize_scalar(loss, bounds=np.log([0.05, 20.0]), method="bounded").x))


def operating_thresholds(
    probabilities: NDArray[np.float32], truth: NDArray[np.int64], labels: tuple[str, ...]
) -> dict[str, float]:
    """For each label the least probability at which saying so, against all others, has the highest F1.

    Args:
        probabilities: float32 [N, K], calibrated.
        truth: int64 [N].
    """
    from sklearn.metrics import precision_recall_curve

    thresholds = {}
    for number, label in enumerate(labels):
        precision, recall, candidates = precision_recall_curve(truth == number, probabilities[:, number])
        f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
        thresholds[label] = float(candidates[f1[:-1].argmax()])
    return thresholds

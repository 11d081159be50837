"""A challenger against the champion, on the same images."""

import numpy as np
from numpy.typing import NDArray

from bonafide.evaluation import statistics
from bonafide.evaluation.bootstrap import Array, Interval, bootstrap
from bonafide.evaluation.predictions import check_predictions
from bonafide.task import Config


class Comparison(Config):
    """Differences are challenger minus champion; all but ``n`` are None where there is no champion.

    ``disagreement`` is the share of images on which the two answer with different labels.
    """

    n: int
    champion: str | None = None
    accuracy_difference: Interval | None = None
    macro_f1_difference: Interval | None = None
    disagreement: float | None = None


def compare(
    truth: NDArray[np.int64],
    challenger: NDArray[np.float32],
    champion: NDArray[np.float32] | None,
    champion_version: str | None,
    samples: int,
    seed: int,
) -> Comparison:
    """Compare two models by a paired bootstrap: a resample holds the same images for both.

    Args:
        truth: int64 [N].
        challenger: its probabilities, float32 [N, K].
        champion: its probabilities, float32 [N, K], or None for a first model.
        champion_version: as the registry names it.
        samples: bootstrap resamples.
        seed: of the resamples.

    Raises:
        DataError: predictions that cannot be measured (see :mod:`bonafide.evaluation.predictions`).
    """
    classes = challenger.shape[1]
    check_predictions(truth, challenger, classes)
    if champion is None:
        return Comparison(n=len(truth), champion=champion_version)
    check_predictions(truth, champion, classes)
    ours, theirs = challenger.argmax(1), champion.argmax(1)

    def differences(weights: Array) -> dict[str, Array]:
        new = statistics.confusion(weights, truth, ours, classes)
        old = statistics.confusion(weights, truth, theirs, classes)
        return {
            "accuracy": statistics.accuracy(new) - statistics.accuracy(old),
            "macro_f1": statistics.by_label(new)[2].mean(1) - statistics.by_label(old)[2].mean(1),
        }

    found = bootstrap(differences, len(truth), samples, seed)
    return Comparison(
        n=len(truth),
        champion=champion_version,
        accuracy_difference=found["accuracy"],
        macro_f1_difference=found["macro_f1"],
        disagreement=float(np.mean(ours != theirs)),
    )

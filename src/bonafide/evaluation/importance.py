"""What a model loses without one of its columns (Breiman 2001, "Random Forests", section 10)."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from bonafide.config import Config
from bonafide.model.decision import label_of

REPEATS = 10


class Importance(Config):
    """``lost`` is the accuracy lost where the column is shuffled: the mean of ten times, ``spread`` their
    standard deviation.
    """

    column: str
    lost: float
    spread: float


def permutation_importance(
    predict: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    columns: NDArray[np.float32],
    names: Sequence[str],
    truth: NDArray[np.int64],
    seed: int,
) -> tuple[Importance, ...]:
    """Every column's importance, the largest first.

    Args:
        predict: float32 [N, C] to probabilities float32 [N, K].
        columns: float32 [N, C].
        names: of the C columns.
        truth: int64 [N].
        seed: fixes the shuffles.
    """
    random = np.random.default_rng(seed)

    def accuracy(values: NDArray[np.float32]) -> float:
        return float((label_of(predict(values)) == truth).mean())

    def shuffled(index: int) -> NDArray[np.float32]:
        values = columns.copy()
        values[:, index] = random.permutation(values[:, index])
        return values

    whole = accuracy(columns)
    found = []
    for index, name in enumerate(names):
        losses = [whole - accuracy(shuffled(index)) for _ in range(REPEATS)]
        found.append(Importance(column=name, lost=float(np.mean(losses)), spread=float(np.std(losses))))
    return tuple(sorted(found, key=lambda each: -each.lost))

"""Which columns a single answer rests on: Shapley values, exact because columns are few.

Štrumbelj & Kononenko 2014, "Explaining prediction models and individual predictions with feature
contributions", Knowledge and Information Systems 41:647-665.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import comb

import numpy as np
from numpy.typing import NDArray

MOST_COLUMNS = 10
"""An answer costs the graph 2^C questions for each row of the background."""


@dataclass(frozen=True)
class Case:
    """One row and its answer.

    Args:
        columns: its values by name.
        contributions: by name what each column adds to the confidence; empty if there are too many columns.
        truth: the true label.
        predicted: the answered label.
        confidence: its probability.
    """

    columns: Mapping[str, float]
    contributions: Mapping[str, float]
    truth: str
    predicted: str
    confidence: float

    @property
    def correct(self) -> bool:
        """Whether the answer is the truth."""
        return self.truth == self.predicted


def contributions(
    score: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    row: NDArray[np.float32],
    background: NDArray[np.float32],
) -> NDArray[np.float64]:
    """What each column adds to a row's score, float64 [C]; they sum to it less the background's mean score.

    Args:
        score: float32 [N, C] to float32 [N].
        row: float32 [C].
        background: float32 [B, C], whose values stand in for those of the columns that are not known.
    """
    count = len(row)
    sets = np.arange(2**count)
    known = (sets[:, None] >> np.arange(count)) & 1 == 1
    mixed = np.where(known[:, None], row, background)
    worth = score(mixed.reshape(-1, count)).reshape(len(sets), -1).mean(axis=1, dtype=np.float64)
    weight = np.array([1 / (count * comb(count - 1, size)) for size in range(count)])
    found = np.empty(count)
    for column in range(count):
        without = sets[~known[:, column]]
        gained = worth[without | 1 << column] - worth[without]
        found[column] = (weight[known[without].sum(axis=1)] * gained).sum()
    return found

"""Tables: which columns their answers rest on, and the numbers that drift is told by."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bonafide.data import dataset as datasets
from bonafide.evaluation.contributions import MOST_COLUMNS, Case, contributions
from bonafide.evaluation.examined import Asked, Examined
from bonafide.evaluation.failures import confident_errors, representatives
from bonafide.evaluation.importance import permutation_importance
from bonafide.model.table import columns

WRONG, RIGHT, BACKGROUND = 12, 2, 50


def examine(asked: Asked) -> Examined:
    """How much accuracy rests on each column, and what the most confident wrong answers and some typical
    right ones rest on.
    """
    rows, names = columns(asked.model.info, asked.dataset, asked.split), asked.model.info.columns
    importance = permutation_importance(
        lambda values: _asked(asked, values), rows, names, asked.truth, asked.seed
    )
    truth, decided = asked.truth, asked.decided
    shown = [*confident_errors(truth, decided, WRONG), *representatives(truth, decided, RIGHT)]
    return Examined(importance=importance, cases=tuple(_case(asked, rows, int(row)) for row in shown))


def describe(dataset: Path, split: str) -> list[dict[str, float]]:
    """The columns of each row of a split, in its order.

    Raises:
        DataError: the split is not there.
    """
    names = [feature.name for feature in datasets.read_info(dataset).features]
    return [dict(zip(names, row, strict=True)) for row in datasets.rows(dataset, split).tolist()]


def _asked(asked: Asked, values: NDArray[np.float32]) -> NDArray[np.float32]:
    return asked.model.run(values)["probabilities"]


def _case(asked: Asked, rows: NDArray[np.float32], row: int) -> Case:
    info, answered = asked.model.info, int(asked.decided.label[row])
    added: NDArray[np.float64] = np.empty(0)
    if len(info.columns) <= MOST_COLUMNS:
        some = np.random.default_rng(asked.seed).permutation(len(rows))[:BACKGROUND]
        added = contributions(lambda values: _asked(asked, values)[:, answered], rows[row], rows[some])
    return Case(
        columns=dict(zip(info.columns, rows[row].tolist(), strict=True)),
        contributions=dict(zip(info.columns, added.tolist(), strict=False)),
        truth=info.labels[asked.truth[row]],
        predicted=info.labels[answered],
        confidence=float(asked.decided.confidence[row]),
    )

"""A table's columns by name, and the rows that a model takes of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bonafide.model.info import TableInput
from bonafide.serving.errors import RequestError

ALL = TableInput.tensor
Columns = Mapping[str, npt.NDArray[Any]]
"""Numbers [N] each, by the name of their column; or [N, C] in a model's order, alone under ``columns``."""
Rows = npt.NDArray[np.float32]


def rows_of(columns: Columns, taken: TableInput) -> Rows:
    """Rows float32 [N, C] that fit a model.

    Raises:
        RequestError: a column is unknown, missing or shorter than another, or a value does not fit; the
            message names the column and the row.
    """
    rows = stacked(columns, [feature.name for feature in taken.features])
    misfits = taken.misfits(rows)
    if misfits.any():
        row, column = np.argwhere(misfits)[0]
        feature = taken.features[column]
        raise RequestError(f"{feature.name}[{row}]: {feature.problem(float(rows[row, column]))}")
    return rows


def stacked(columns: Columns, names: Sequence[str]) -> Rows:
    """Rows float32 [N, C] with their columns in the order of ``names``, whatever the order of ``columns``.

    Raises:
        RequestError: a column is unknown, missing or shorter than another.
    """
    known = ", ".join(names)
    if columns.keys() == {ALL}:
        rows = columns[ALL].reshape(len(columns[ALL]), -1)
        if rows.shape[1] != len(names):
            raise RequestError(f"{ALL}: shape must be [N, {len(names)}]: {known}; got {[*rows.shape]}")
        return single(rows)
    if unknown := [name for name in columns if name not in names]:
        raise RequestError(f"{unknown[0][:64]!r} is no column of this model; it takes {known}")
    if missing := [name for name in names if name not in columns]:
        raise RequestError(f"{missing[0]!r} is missing; this model takes {known}")
    lengths = {name: len(columns[name]) for name in names}
    if len(set(lengths.values())) > 1:
        raise RequestError(f"the columns are of different lengths: {lengths}")
    return single(np.stack([columns[name] for name in names], axis=1))


def single(numbers: npt.NDArray[Any]) -> Rows:
    """As float32; what is too large for it becomes infinite, and then does not fit."""
    with np.errstate(over="ignore"):
        return numbers.astype(np.float32)

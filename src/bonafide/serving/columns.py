"""A table's columns by name, and the rows that a model takes of them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from bonafide.model.info import TableInput
from bonafide.serving.errors import RequestError

Columns = Mapping[str, npt.NDArray[Any]]
"""Numbers [N] each."""
Rows = npt.NDArray[np.float32]


def rows_of(columns: Columns, taken: TableInput) -> Rows:
    """Rows float32 [N, C] in the order that a model has its features in, whatever the order of ``columns``.

    Raises:
        RequestError: a column is unknown, missing or shorter than another, or a value does not fit.
    """
    names = [feature.name for feature in taken.features]
    if unknown := [name for name in columns if name not in names]:
        raise RequestError(f"{unknown[0]!r} is no column of this model; it takes {', '.join(names)}")
    if missing := [name for name in names if name not in columns]:
        raise RequestError(f"{missing[0]!r} is missing; this model takes {', '.join(names)}")
    lengths = {name: len(columns[name]) for name in names}
    if len(set(lengths.values())) > 1:
        raise RequestError(f"the columns are of different lengths: {lengths}")
    return checked(single(np.stack([columns[name] for name in names], axis=1)), taken)


def checked(rows: Rows, taken: TableInput) -> Rows:
    """Rows float32 [N, C], as they were.

    Raises:
        RequestError: names the column and the row of a value that does not fit.
    """
    misfits = taken.misfits(rows)
    if misfits.any():
        row, column = np.argwhere(misfits)[0]
        feature = taken.features[column]
        raise RequestError(f"{feature.name}[{row}]: {feature.problem(float(rows[row, column]))}")
    return rows


def single(numbers: npt.NDArray[Any]) -> Rows:
    """As float32; what is too large for it becomes infinite, and then does not fit."""
    with np.errstate(over="ignore"):
        return numbers.astype(np.float32)

"""Rows of a file to ask about, in a mix of labels; both change as the drift says."""

from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from bonafide.errors import ConfigError
from bonafide.serving.columns import Columns, single
from bonafide.traffic.drift import STEADY, Drift, mixed, refuse_other
from bonafide.traffic.inputs import Pools

LABEL = "label"
TEXT = csv.ConvertOptions(column_types={LABEL: pa.string()})


class Table(NamedTuple):
    """Columns of numbers float32 [N] by name, and each row's label, empty where the file has none."""

    columns: dict[str, npt.NDArray[np.float32]]
    labels: list[str]

    def row(self, number: int) -> Columns:
        """One row, as it is asked about."""
        return {name: values[number : number + 1] for name, values in self.columns.items()}


def read_table(path: Path) -> Table:
    """A ``.csv`` or ``.parquet`` file; ``label`` holds labels and every other column numbers.

    Raises:
        ConfigError: it is no such file, or holds something else.
    """
    try:
        parquet = path.suffix.lower() == ".parquet"
        table = pq.read_table(path) if parquet else csv.read_csv(path, convert_options=TEXT)
    except (pa.ArrowException, OSError) as error:
        why = str(error).strip()[:200]
        raise ConfigError(f"{path} cannot be read: {why}; give a .csv or .parquet file") from error
    names = [name for name in table.column_names if name != LABEL]
    if not len(table) or not names:
        raise ConfigError(f"{path} has no row of numbers to ask about")
    if len(set(table.column_names)) < len(table.column_names):
        raise ConfigError(f"{path} has two columns of one name; remove one")
    labels = table[LABEL].to_pylist() if LABEL in table.column_names else [None] * len(table)
    columns = {name: _numbers(table[name], name, path) for name in names}
    return Table(columns, ["" if label is None else str(label) for label in labels])


def _numbers(column: pa.ChunkedArray, name: str, path: Path) -> npt.NDArray[np.float32]:
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise ConfigError(f"{path}: {name!r} holds {column.type}; give numbers, and labels in {LABEL!r}")
    numbers = single(column.to_numpy())
    if not np.isfinite(numbers).all():
        row = int(np.isfinite(numbers).argmin())
        raise ConfigError(f"{path}: row {row} has no number in {name!r}; fill it, or leave the row out")
    return numbers


class Row(NamedTuple):
    """A row of a file by its number from 0, and how strong the drift is when it is asked about."""

    folder: str
    number: int
    label: str
    strength: float = 0.0

    @property
    def name(self) -> str:
        """Its number."""
        return str(self.number)


class Rows:
    """The rows of a file, as of :func:`read_table`.

    Args:
        mix: the share of each label; empty for every row as often as another.
        drift: how they change.

    Raises:
        ConfigError: there are no rows, the drift is of images, or it or a mix names what the file lacks.
    """

    def __init__(self, where: str, mix: Mapping[str, float], drift: Drift = STEADY) -> None:
        refuse_other(drift, {"label-shift", "shift"}, "rows")
        self.drift = drift
        self._where = where
        self._table = read_table(Path(where))
        self._pools = Pools(where, "row", ((label, n) for n, label in enumerate(self._table.labels)))
        self._pools.check({**mix, **drift.mix})
        self._mix = mix or self._pools.shares
        if unknown := [name for name in drift.shift if name not in self._table.columns]:
            has = ", ".join(self._table.columns)
            raise ConfigError(f"{where} has no column {unknown[0]!r} to shift; it has {has}")

    @property
    def labels(self) -> set[str]:
        """Of all rows."""
        return {*self._table.labels} - {""}

    def choose(self, random: Random, passed: float = 0.0) -> Row:
        """One of them, when that share of the time has passed."""
        strength = self.drift.at(passed)
        mix = mixed(self._mix, self.drift.mix, strength) if self.drift.mix else self._mix
        number = self._pools.choose(random, mix)
        return Row(self._where, number, self._table.labels[number], strength)

    def sent(self, row: Row) -> Columns:
        """Its numbers; those of a shifted column have grown as far as the strength says."""
        shift = self.drift.shift
        return {
            name: single(values + np.float32(shift.get(name, 0) * row.strength))
            for name, values in self._table.row(row.number).items()
        }

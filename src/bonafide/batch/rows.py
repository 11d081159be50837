"""The rows of a CSV or Parquet file, block by block; one that does not fit costs no other its answer."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import csv

from bonafide.batch.inputs import Answer, Inputs
from bonafide.errors import BonafideError
from bonafide.features import Feature
from bonafide.files import sha256
from bonafide.model.decision import decide
from bonafide.model.info import ModelInfo
from bonafide.serving.columns import single
from bonafide.serving.compute.engine import Engine

NUMBER = r"^[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?$"
BLOCK = 10_000
LONGEST = 40


def rows(where: str, info: ModelInfo) -> Inputs:
    """The rows of ``where``, a ``.csv`` or ``.parquet`` file; of its columns those that the model takes.

    Raises:
        BonafideError: there is none, it cannot be read, or it lacks a column.
    """
    path, names = Path(where), info.columns
    if not path.is_file():
        raise BonafideError(f"{where} is no file; {_wanted(names)}")
    total = sum(len(block) for block in _blocks(path, names))
    if not total:
        raise BonafideError(f"{where} has no row; {_wanted(names)}")
    return Inputs("rows", "row", total, 0, partial(sha256, path), partial(answers, path))


def answers(path: Path, start: int, engine: Engine, _: int) -> Iterator[Answer]:
    """Score the rows from number ``start`` on, in order; they are counted from 0.

    Blocks are always the same ones, so that a row gets the same floats wherever a run began.

    Raises:
        BonafideError: the file cannot be read any more.
    """
    begun = 0
    for block in _blocks(path, engine.info.columns):
        if begun + len(block) > start:
            yield from islice(_score(block, begun, engine), max(0, start - begun), None)
        begun += len(block)


def _score(block: pa.Table, first: int, engine: Engine) -> Iterator[Answer]:
    info, features = engine.info, engine.info.input.features
    numbers = single(np.stack([_numbers(column) for column in block.columns], axis=1))
    misfits = info.table.misfits(numbers)
    fits: npt.NDArray[np.bool_] = np.logical_not(misfits.any(axis=1))
    shares = np.zeros((len(block), len(info.labels)), np.float32)
    if fits.any():
        shares[fits] = engine.score(numbers[fits], ("probabilities",)).scores["probabilities"]
    decided = decide(shares, info.labels, info.decision)
    for index, name in enumerate(range(first, first + len(block))):
        if fits[index]:
            yield Answer(name, int(decided.label[index]), bool(decided.uncertain[index]), shares[index])
        else:
            column = int(misfits[index].argmax())
            why = _why(block.column(column)[index].as_py(), numbers[index, column], features[column])
            yield Answer(name, error=f"{features[column].name}: {why}")


def _why(given: Any, number: np.float32, feature: Feature) -> str:
    if given is None or given == "":
        return "is missing"
    if isinstance(given, str) and np.isnan(number):
        return f"must be a number, got {given[:LONGEST]!r}"
    return feature.problem(float(number))


def _numbers(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """As float64; NaN where there is none."""
    if pa.types.is_string(column.type):
        column = pc.if_else(pc.match_substring_regex(column, NUMBER), column, None)
    numbers: npt.NDArray[np.float64] = pc.fill_null(column.cast(pa.float64(), safe=False), np.nan).to_numpy()
    return numbers


def _blocks(path: Path, names: Sequence[str]) -> Iterator[pa.Table]:
    """The file in blocks of rows, with these columns in this order: texts of CSV, numbers of Parquet."""
    with _told(path, names):
        parquet = path.suffix.lower() == ".parquet"
        for table in _parquet(path, names) if parquet else _csv(path, names):
            for begin in range(0, len(table), BLOCK):
                yield table[begin : begin + BLOCK]


def _csv(path: Path, names: Sequence[str]) -> Iterator[pa.Table]:
    given = csv.ConvertOptions(include_columns=names, column_types=dict.fromkeys(names, pa.string()))
    parsing = csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=len(names) > 1)
    with csv.open_csv(path, convert_options=given, parse_options=parsing) as reader:
        for batch in reader:
            yield pa.Table.from_batches([batch])


def _parquet(path: Path, names: Sequence[str]) -> Iterator[pa.Table]:
    with pq.ParquetFile(path) as file:
        schema = file.schema_arrow
        for name in names:
            kind = schema.field(name).type
            if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
                raise BonafideError(f"{path}: {name} holds {kind}, no numbers; make it a column of numbers")
        for batch in file.iter_batches(BLOCK, columns=[*names]):
            yield pa.Table.from_batches([batch]).select(names)


@contextmanager
def _told(path: Path, names: Sequence[str]) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, KeyError) as error:
        raise BonafideError(f"{path} cannot be read: {str(error).strip()[:200]}; {_wanted(names)}") from error


def _wanted(names: Sequence[str]) -> str:
    return f"give a .csv or .parquet file with the columns {', '.join(names)}"

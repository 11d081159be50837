"""The ingest step of tables: from any sources of rows to one dataset."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from bonafide.data.dataset import DatasetInfo, Origin
from bonafide.data.table import RawRows, build_table
from bonafide.errors import DataError
from bonafide.features import Feature
from bonafide.source import FeedbackSource, RowsSource, ScikitLearnSource, Source
from bonafide.sources.digests import is_elsewhere, refuse_changed
from bonafide.sources.groups import numbered, numbers
from bonafide.sources.parquet import label_names
from bonafide.sources.tree import AGAIN, find_files, given_by

ENDINGS = (".csv", ".parquet")
EMPTY = ["", "NA", "N/A", "NaN", "nan", "null"]
"""What stands for nothing in a CSV file."""
NUMBERS = (
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_decimal,
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_null,
)


class Reading(NamedTuple):
    """A source's rows, and what it is."""

    rows: RawRows
    origin: Origin


def ingest(
    sources: tuple[Source, ...],
    labels: tuple[str, ...],
    out: Path,
    seed: int,
    features: tuple[Feature, ...],
) -> DatasetInfo:
    """Write the sources' rows to ``out`` as one unsplit dataset, one source after the other.

    All rows are in memory at once. Groups are named as :func:`bonafide.sources.ingest.ingest` names them.

    Raises:
        DataError: a source is not there, is not what its digest says, lacks a column, or they hold no usable
            rows of at least two of the labels.
    """
    names = [feature.name for feature in features]
    found = []
    for source, number in zip(sources, numbers(sources), strict=True):
        if is_elsewhere(source):
            refuse_changed(source, "table")
        reading = READERS[type(source)](source, names)
        refuse_changed(source, "table")
        groups = reading.rows.about["group"]
        reading.rows.about["group"] = groups.map(lambda name, by=number: numbered(name, by), "ignore")
        found.append(reading)
    rows, origins = zip(*found, strict=True)
    return build_table(rows, labels, features, out, seed, origins)


def _rows(source: RowsSource, names: Sequence[str]) -> Reading:
    filesystem, files, root = find_files(source.path, ENDINGS)
    parts = []
    for file in files:
        try:
            with filesystem.open(file, "rb") as stream:
                table = _csv(stream, source, names) if file.endswith(".csv") else pq.read_table(stream)
                parts.append(_part(table, source, names, file, given_by(file.removeprefix(root))))
        except DataError:
            raise
        except Exception as error:  # each cloud's client has its own
            raise DataError(f"cannot read {file} of {source.path}: {error}; {AGAIN}") from error
    columns, about = (pd.concat(each, ignore_index=True) for each in zip(*parts, strict=True))
    origin = Origin(kind=source.kind, name=_name(source), digest=source.digest)
    return Reading(RawRows(columns, about), origin)


def _csv(stream: Any, source: RowsSource, names: Sequence[str]) -> pa.Table:
    """What is asked for stays text, so that nothing is taken for something else."""
    columns = [source.label, source.group, *(source.columns.get(name, name) for name in names)]
    options = csv.ConvertOptions(
        column_types=dict.fromkeys(columns, pa.string()), null_values=EMPTY, strings_can_be_null=True
    )
    return csv.read_csv(
        stream, convert_options=options, parse_options=csv.ParseOptions(newlines_in_values=True)
    )


def _part(
    table: pa.Table, source: RowsSource, names: Sequence[str], file: str, given: str | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A file's columns, and what is told about its rows."""
    wanted = {name: source.columns.get(name, name) for name in names}
    asked = [*wanted.values(), source.label, *filter(None, [source.group])]
    if absent := [name for name in asked if name not in table.column_names]:
        raise DataError(f"{file} has no column {absent[0]!r}; it has {', '.join(table.column_names)}")
    columns = {name: _numbers(table[column], column, file) for name, column in wanted.items()}
    classes = label_names(table.schema, source.label)
    labels = [None if name is None else classes.get(name, str(name)) for name in _cells(table, source.label)]
    groups = _cells(table, source.group) if source.group else [None] * len(table)
    about = {
        "path": [f"{file.rpartition('/')[2]}#{row}" for row in range(len(table))],
        "label_name": [source.labels.get(name, name) if name else None for name in labels],
        "source": _name(source),
        "group": [None if group is None else str(group) for group in groups],
        "given": given,
    }
    return pd.DataFrame(columns, dtype=object), pd.DataFrame(about, dtype=object)


def _cells(table: pa.Table, column: str) -> list[Any]:
    return list(table[column].to_pylist())


def _numbers(column: pa.ChunkedArray, name: str, file: str) -> list[Any]:
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not any(fits(kind) for fits in NUMBERS):
        raise DataError(f"{file}: column {name!r} holds {kind} values; a feature takes numbers")
    return list(column.to_pylist())


def _name(source: RowsSource) -> str:
    return source.name or Path(source.path).name


def _scikit_learn(source: ScikitLearnSource, names: Sequence[str]) -> Reading:
    from sklearn import datasets

    bunch = getattr(datasets, f"load_{source.dataset}")(as_frame=True)
    wanted = {name: source.columns.get(name, name) for name in names}
    if absent := [name for name in wanted.values() if name not in bunch.data]:
        has = ", ".join(bunch.feature_names)
        raise DataError(f"scikit-learn's {source.dataset} has no column {absent[0]!r}; it has {has}")
    labels = [str(bunch.target_names[number]) for number in bunch.target]
    name = source.name or source.dataset
    about = {
        "path": [f"{source.dataset}#{row}" for row in range(len(labels))],
        "label_name": [source.labels.get(label, label) for label in labels],
        "source": name,
        "group": None,
        "given": None,
    }
    columns = pd.DataFrame({name: bunch.data[column] for name, column in wanted.items()})
    origin = Origin(kind=source.kind, name=name, digest="")
    return Reading(RawRows(columns, pd.DataFrame(about, dtype=object)), origin)


def _feedback(source: FeedbackSource, names: Sequence[str]) -> Reading:
    from bonafide.sources.feedback import confirmed, told

    found = confirmed(source, "table")
    about = {
        "path": [told(each) for each in found],
        "label_name": [source.labels.get(each.label, each.label) for each in found],
        "source": source.name,
        "group": None,
        "given": None,
    }
    columns = {name: [each.statistics.get(name) for each in found] for name in names}
    origin = Origin(kind=source.kind, name=source.name, digest=source.digest)
    return Reading(RawRows(pd.DataFrame(columns, dtype=object), pd.DataFrame(about, dtype=object)), origin)


READERS: dict[type, Callable[..., Reading]] = {
    RowsSource: _rows,
    ScikitLearnSource: _scikit_learn,
    FeedbackSource: _feedback,
}

"""Rows from any source into a dataset: every number is there, of its type and in its range."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pandera.errors import SchemaErrors
from pandera.pandas import Check, Column, DataFrameSchema

from bonafide import files
from bonafide.data.dataset import DatasetInfo, Origin, Quarantined, table_schema
from bonafide.data.writing import unknown_label, write_dataset
from bonafide.features import LARGEST, Feature

REFUSED = "quarantine/rows.csv"
MISSING, WRONG_TYPE, OUT_OF_RANGE = "missing", "wrong-type", "out-of-range"

Problem = tuple[str, str]


@dataclass(frozen=True)
class RawRows:
    """Rows as a source hands them over.

    ``columns`` has each feature as it came, number or text. ``about`` has for the same rows ``path``,
    ``label_name``, ``source``, ``group`` and ``given``, which are texts or missing, as for images.
    """

    columns: pd.DataFrame
    about: pd.DataFrame


def build_table(
    found: Sequence[RawRows],
    labels: tuple[str, ...],
    features: tuple[Feature, ...],
    out: Path,
    seed: int | None = None,
    origins: tuple[Origin, ...] = (),
) -> DatasetInfo:
    """Write the dataset ``out`` with the one split ``all``, rows in the order of ``found``.

    A row without a label, or with a number that is missing, is none or does not fit its feature, goes to
    ``out/quarantine/rows.csv`` and is listed with its reason in ``dataset.json``. ``out`` appears whole or
    not at all. The same arguments give the same bytes.

    Args:
        found: the rows of each source.
        labels: the task's label names; a label's index here is its number.
        features: the columns, in the order in which the dataset has them.
        seed: recorded.
        origins: recorded, the sources.

    Raises:
        DataError: a label is not among ``labels`` or has no usable row, or nothing is usable.
    """
    names = [feature.name for feature in features]
    columns = pd.concat([rows.columns[names] for rows in found], ignore_index=True)
    about = pd.concat([rows.about for rows in found], ignore_index=True)
    _refuse_unknown(about, labels)
    numbers = columns.apply(pd.to_numeric, errors="coerce").astype("float64")
    problems = _problems(columns, numbers, about, features)

    def batches(folder: Path, quarantined: list[Quarantined]) -> Iterator[pa.RecordBatch]:
        refused = [_refused(str(about.at[row, "path"]), problems[row]) for row in sorted(problems)]
        if refused:
            quarantined += refused
            told = pd.DataFrame([each.model_dump() for each in refused], index=sorted(problems))
            text = told.join(about["label_name"]).join(columns).to_csv(index=False, lineterminator="\n")
            files.write_text(folder / REFUSED, text)
        yield _batch(numbers.drop(index=problems), about.drop(index=problems), labels, features)

    usable = "give a number in its range for each of the task's features"
    return write_dataset(batches, labels, out, "table", usable, features=features, seed=seed, origins=origins)


def _refuse_unknown(about: pd.DataFrame, labels: tuple[str, ...]) -> None:
    named = about.dropna(subset="label_name")
    unknown = named[~named["label_name"].isin(labels)]
    if len(unknown):
        first = unknown.iloc[0]
        raise unknown_label(first["path"], first["label_name"], named["label_name"].unique(), labels)


def _problems(
    columns: pd.DataFrame, numbers: pd.DataFrame, about: pd.DataFrame, features: Iterable[Feature]
) -> dict[int, list[Problem]]:
    """By row what does not fit, in the order of the columns."""
    found: dict[int, list[Problem]] = defaultdict(list)
    for row in about.index[about["label_name"].isna()]:
        found[row].append((MISSING, "the label is missing"))
    failing = _failing(numbers, features)
    for feature in features:
        for row in failing[feature.name]:
            found[row].append(_problem(feature, columns.at[row, feature.name], numbers.at[row, feature.name]))
    return found


def _failing(numbers: pd.DataFrame, features: Iterable[Feature]) -> dict[str, list[int]]:
    """By column the rows whose number is missing or does not fit, as a model would see it: with 32 bits."""
    schema = DataFrameSchema({feature.name: Column("float32", _checks(feature)) for feature in features})
    found: dict[str, list[int]] = defaultdict(list)
    try:
        with np.errstate(over="ignore"):
            schema.validate(numbers.astype("float32"), lazy=True)
    except SchemaErrors as error:
        cases = error.failure_cases[["column", "index"]].drop_duplicates().sort_values("index")
        for name, row in cases.itertuples(index=False):
            found[name].append(int(row))
    return found


def _checks(feature: Feature) -> list[Check]:
    checks = [Check.in_range(-LARGEST, LARGEST)]
    if feature.low is not None:
        checks.append(Check.ge(np.float32(feature.low)))
    if feature.high is not None:
        checks.append(Check.le(np.float32(feature.high)))
    if feature.whole:
        checks.append(Check(lambda numbers: numbers == numbers.round()))
    return checks


def _problem(feature: Feature, given: object, number: float) -> Problem:
    if pd.isna(number):
        if pd.isna(given):
            return MISSING, f"{feature.name} is missing"
        return WRONG_TYPE, f"{feature.name} must be a number, got {str(given)[:40]!r}"
    return OUT_OF_RANGE, f"{feature.name} {feature.problem(number) or 'must fit into 32 bits'}"


def _refused(path: str, problems: Sequence[Problem]) -> Quarantined:
    return Quarantined(path=path, reason=problems[0][0], message="; ".join(told for _, told in problems))


def _batch(
    numbers: pd.DataFrame, about: pd.DataFrame, labels: tuple[str, ...], features: Iterable[Feature]
) -> pa.RecordBatch:
    schema = table_schema(features)
    values = np.ascontiguousarray(numbers, "<f4")
    digests = pd.Series([hashlib.sha256(row).hexdigest() for row in values], about.index, str)
    texts = about.assign(sha256=digests, generator=None, group=about["group"].fillna(digests))
    arrays = {name: pa.array(texts[name], pa.string(), from_pandas=True) for name in texts.columns}
    arrays["label"] = pa.array([labels.index(name) for name in about["label_name"]], pa.int64())
    row = schema.field("row").type
    arrays["row"] = pa.StructArray.from_arrays([*map(pa.array, values.T.copy())], fields=list(row))
    return pa.RecordBatch.from_arrays([arrays[name] for name in schema.names], schema=schema)

"""The table of answers: Parquet parts of a run, joined to one CSV or Parquet file."""

import os
import re
from collections import Counter
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from bonafide.batch.inputs import Answer
from bonafide.batch.listing import SCHEMES
from bonafide.errors import ConfigError
from bonafide.files import write_bytes

Format = Literal["csv", "parquet"]

PARTS_A_GROUP = 100


def format_of(output: str | Path, elsewhere: bool = False) -> Format:
    """What the name of an output asks for.

    Args:
        elsewhere: it is written on another machine, so it must be in a bucket.

    Raises:
        ConfigError: it is neither CSV nor Parquet, or not where it is written.
    """
    if elsewhere and not str(output).startswith(SCHEMES):
        raise ConfigError(f"{output} is on this machine, where an engine cannot write; name gs:// or s3://")
    if not elsewhere and re.match(r"\w+:/", str(output)):
        raise ConfigError(f"{output}: OUTPUT is written on this machine; name a file, and copy it afterwards")
    formats: dict[str, Format] = {".csv": "csv", ".parquet": "parquet"}
    try:
        return formats[Path(output).suffix.lower()]
    except KeyError:
        raise ConfigError(f"{output}: OUTPUT ends with .csv or .parquet, which picks the format") from None


KEYS = {"path": pa.string(), "row": pa.int64()}


def schema(key: str, labels: Sequence[str], metadata: dict[str, str]) -> pa.Schema:
    """Columns ``key``, ``label``, ``uncertain``, ``confidence``, ``probability_<label>`` and ``error``.

    A row has either an error or the other columns; the rest is null, in CSV empty.
    """
    numbers = ["confidence", *(f"probability_{label}" for label in labels)]
    fields = [(key, KEYS[key]), ("label", pa.string()), ("uncertain", pa.bool_())]
    fields += [*((name, pa.float32()) for name in numbers), ("error", pa.string())]
    return pa.schema(fields, metadata)


def write_part(path: Path, columns: pa.Schema, labels: Sequence[str], answers: Sequence[Answer]) -> None:
    """One part, whole or absent."""
    rows = [_row(answer, labels) for answer in answers]
    arrays = [
        pa.array(values, kind) for values, kind in zip(zip(*rows, strict=True), columns.types, strict=True)
    ]
    stream = BytesIO()
    pq.write_table(pa.table(arrays, columns), stream)
    write_bytes(path, stream.getvalue())


def join(parts: Sequence[Path], columns: pa.Schema, out: Path, kind: Format) -> Counter[str]:
    """Write the parts as one file; returns the number of rows by reason of error, ``""`` for none."""
    reasons: Counter[str] = Counter()
    with _writer(out, columns, kind) as writer:
        for first in range(0, len(parts), PARTS_A_GROUP):
            group = [pq.ParquetFile(part).read() for part in parts[first : first + PARTS_A_GROUP]]
            table = pa.concat_tables(group)
            writer.write_table(table)
            reasons.update((error or "").partition(":")[0] for error in table["error"].to_pylist())
    return reasons


def _writer(out: Path, columns: pa.Schema, kind: Format) -> Any:
    if kind == "parquet":
        return pq.ParquetWriter(out, columns)
    return csv.CSVWriter(out, columns)


def _row(answer: Answer, labels: Sequence[str]) -> tuple[Any, ...]:
    name = answer.name
    if isinstance(name, str):  # of a file, which may be no UTF-8, as both formats demand
        name = os.fsencode(name).decode(errors="backslashreplace")
    if answer.probabilities is None or answer.label is None:
        return (name, None, None, None, *(None for _ in labels), answer.error)
    confidence = answer.probabilities[answer.label]
    return (name, labels[answer.label], answer.uncertain, confidence, *answer.probabilities, None)

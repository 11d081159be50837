"""Parquet files with a column of images, as Hugging Face's datasets have them, here or in a bucket."""

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bonafide.data.build import RawImage
from bonafide.data.header import Limits
from bonafide.errors import DataError
from bonafide.source import ParquetSource
from bonafide.sources.tree import AGAIN, find_files, given_by

# A file of a kilobyte may hold the same huge value in every row, and no size in it tells so beforehand.
BATCH_ROWS = 1
LARGEST = Limits().max_bytes
MEAN_LIMIT = 4 * LARGEST
ENDINGS = (".parquet",)


def read_parquet(source: ParquetSource) -> Iterator[RawImage]:
    """The images of all files, in the order of their names and rows; one row is held at a time.

    A label is a text, or a number that the file's Hugging Face features name; ``source.labels`` gives it the
    name that the task has for it. A file or folder called ``train``, ``test``, ``validation`` or ``holdout``
    says which split the source puts its images in; if several do, the last of them. Of an image larger than
    one may be only one byte over the limit is kept.

    Raises:
        DataError: there is no such file, it cannot be read, it lacks a column, or its images are huge.
    """
    filesystem, files, root = find_files(source.path, ENDINGS)
    for file in files:
        try:
            with filesystem.open(file, "rb") as stream, pq.ParquetFile(stream) as opened:
                yield from _images(opened, source, file.removeprefix(root))
        except DataError:
            raise
        except Exception as error:  # each cloud's client has its own
            raise DataError(f"cannot read {file} of {source.path}: {error}; {AGAIN}") from error


def _images(opened: pq.ParquetFile, source: ParquetSource, file: str) -> Iterator[RawImage]:
    schema = opened.schema_arrow
    columns = [name for name in (source.image, source.label, source.generator, source.group) if name]
    if absent := [name for name in columns if name not in schema.names]:
        raise DataError(f"{file} has no column {absent[0]!r}; it has {', '.join(schema.names)}")
    _refuse_huge(opened.metadata, source.image, file)
    names, given, row = label_names(schema, source.label), given_by(file), 0
    for batch in opened.iter_batches(BATCH_ROWS, columns=columns):
        for found in batch.to_pylist():
            content, name = _cell(found[source.image])
            label = names.get(found[source.label], str(found[source.label]))
            yield RawImage(
                path=name or f"{file.rpartition('/')[2]}#{row}",
                content=content,
                label_name=source.labels.get(label, label),
                source=source.name or source.path,
                generator=_text(found, source.generator),
                group=_text(found, source.group),
                given=given,
            )
            row += 1


def _refuse_huge(metadata: pq.FileMetaData, image: str, file: str) -> None:
    """A value is read whole before it can be cut."""
    for index in range(metadata.num_row_groups):
        group = metadata.row_group(index)
        columns = map(group.column, range(group.num_columns))
        parts = [column for column in columns if column.path_in_schema.partition(".")[0] == image]
        mean = sum(part.total_uncompressed_size for part in parts) // max(1, group.num_rows)
        if mean > MEAN_LIMIT:
            raise DataError(
                f"{file}: an image in row group {index} takes {mean:,} bytes on average, and {LARGEST:,} is "
                "the most that one may have; remove what is no image"
            )


def label_names(schema: pa.Schema, label: str) -> dict[Any, str]:
    """The names of numbered labels, as Hugging Face's datasets keep them in a file's metadata."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {n: name for n, name in enumerate(features[label]["names"]) if isinstance(name, str)}
    except (KeyError, TypeError, ValueError):
        return {}


def _cell(value: Any) -> tuple[bytes, str]:
    """An image's bytes and name; a row without bytes is quarantined as an empty file."""
    if isinstance(value, dict):
        content, name = value.get("bytes"), value.get("path")
    else:
        content, name = value, ""
    return (
        content[: LARGEST + 1] if isinstance(content, bytes) else b"",
        name if isinstance(name, str) else "",
    )


def _text(found: dict[str, Any], column: str) -> str | None:
    value = found[column] if column else None
    return None if value is None else str(value)

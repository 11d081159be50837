"""Parquet files with a column of images, as Hugging Face's datasets have them, here or in a bucket."""

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bonafide.addresses import fixed_part, store_of
from bonafide.data.build import RawImage
from bonafide.data.header import Limits
from bonafide.errors import DataError
from bonafide.source import ParquetSource
from bonafide.sources.tree import AGAIN, GIVEN, listed_version, reaching

# A file of a kilobyte may hold the same huge value in every row, and no size in it tells so beforehand.
BATCH_ROWS = 1
LARGEST = Limits().max_bytes
MEAN_LIMIT = 4 * LARGEST
_SPLIT = re.compile(rf"(?:^|/)(?:partial-)?({'|'.join(GIVEN)})(?=[-_./])")


def read_parquet(source: ParquetSource) -> Iterator[RawImage]:
    """The images of all files, in the order of their names and rows; one row is held at a time.

    A label is a text, or a number that the file's Hugging Face features name; ``source.labels`` gives it the
    name that the task has for it. A file or folder called ``train``, ``test``, ``validation`` or ``holdout``
    says which split the source puts its images in; if several do, the last of them. Of an image larger than
    one may be only one byte over the limit is kept.

    Raises:
        DataError: there is no such file, it cannot be read, it lacks a column, or its images are huge.
    """
    filesystem, files, root = _find(source.path)
    for file in files:
        try:
            with filesystem.open(file, "rb") as stream, pq.ParquetFile(stream) as opened:
                yield from _images(opened, source, file.removeprefix(root))
        except DataError:
            raise
        except Exception as error:  # each cloud's client has its own
            raise DataError(f"cannot read {file} of {source.path}: {error}; {AGAIN}") from error


def parquet_digest(source: ParquetSource) -> str:
    """What caching follows: a SHA-256 over the files' names and what their store tells versions apart by.

    Raises:
        DataError: there is no such file, or it cannot be reached.
    """
    filesystem, files, _ = _find(source.path)
    with reaching(source.path):
        versions = [listed_version(filesystem.info(file)) or filesystem.ukey(file) for file in files]
    lines = "".join(f"{version} {file}\n" for version, file in zip(versions, files, strict=True))
    return hashlib.sha256(lines.encode()).hexdigest()


def _find(path: str) -> tuple[Any, list[str], str]:
    """The file system, the files that a path names, and the folder that they lie in.

    It names itself, what lies below it, or what it matches.
    """
    with reaching(path):
        filesystem, where = store_of(path)
        is_folder = filesystem.isdir(where)
        inside = filesystem.find(where) if is_folder else filesystem.glob(where)
        files = sorted(str(file) for file in inside if str(file).endswith(".parquet"))
    if not files:
        raise DataError(
            f"{path} names no .parquet file; give a file, a folder, or a pattern: train-*.parquet"
        )
    return filesystem, files, where if is_folder else fixed_part(where.rpartition("/")[0])


def _images(opened: pq.ParquetFile, source: ParquetSource, file: str) -> Iterator[RawImage]:
    schema = opened.schema_arrow
    columns = [name for name in (source.image, source.label, source.generator, source.group) if name]
    if absent := [name for name in columns if name not in schema.names]:
        raise DataError(f"{file} has no column {absent[0]!r}; it has {', '.join(schema.names)}")
    _refuse_huge(opened.metadata, source.image, file)
    names, splits, row = _names(schema, source.label), _SPLIT.findall(file), 0
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
                given=GIVEN[splits[-1]] if splits else None,
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


def _names(schema: pa.Schema, label: str) -> dict[Any, str]:
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

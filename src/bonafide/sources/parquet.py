"""Parquet files with a column of images, as Hugging Face's datasets have them, here or in a bucket."""

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bonafide.data.build import RawImage
from bonafide.errors import DataError
from bonafide.sources.tree import AGAIN, GIVEN, listed_version, reaching
from bonafide.task import ParquetSource

BATCH_ROWS = 64
_SPLIT = re.compile(rf"(?:^|/)({'|'.join(GIVEN)})(?=[-_./])")


def read_parquet(source: ParquetSource) -> Iterator[RawImage]:
    """The images of all files, in the order of their names and rows; a few rows are held at a time.

    A label is a text, or a number that the file's Hugging Face features name; ``source.labels`` gives it the
    name that the task has for it. A file or folder called ``train``, ``test``, ``validation`` or ``holdout``
    says which split the source puts its images in.

    Raises:
        DataError: there is no such file, it cannot be read, or it lacks a column.
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
    from fsspec.core import url_to_fs

    with reaching(path):
        filesystem, where = url_to_fs(path, skip_instance_cache=True, use_listings_cache=False)
        is_folder = filesystem.isdir(where)
        inside = filesystem.find(where) if is_folder else filesystem.glob(where)
        files = sorted(str(file) for file in inside if str(file).endswith(".parquet"))
    if not files:
        raise DataError(
            f"{path} names no .parquet file; give a file, a folder, or a pattern: train-*.parquet"
        )
    return filesystem, files, where if is_folder else where.partition("*")[0].rpartition("/")[0]


def _images(opened: pq.ParquetFile, source: ParquetSource, file: str) -> Iterator[RawImage]:
    schema = opened.schema_arrow
    columns = [name for name in (source.image, source.label, source.generator, source.group) if name]
    if absent := [name for name in columns if name not in schema.names]:
        raise DataError(f"{file} has no column {absent[0]!r}; it has {', '.join(schema.names)}")
    names, given, row = _names(schema, source.label), _SPLIT.search(file), 0
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
                given=GIVEN[given[1]] if given else None,
            )
            row += 1


def _names(schema: pa.Schema, label: str) -> dict[Any, str]:
    """The names of numbered labels, as Hugging Face's datasets keep them in a file's metadata."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return dict(enumerate(features[label]["names"]))
    except (KeyError, TypeError, ValueError):
        return {}


def _cell(value: Any) -> tuple[bytes, str]:
    """An image's bytes and name; a row without any is quarantined as an empty file."""
    if isinstance(value, dict):
        return value.get("bytes") or b"", value.get("path") or ""
    return (value, "") if isinstance(value, bytes) else (b"", "")


def _text(found: dict[str, Any], column: str) -> str | None:
    value = found[column] if column else None
    return None if value is None else str(value)

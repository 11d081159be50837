"""A dataset: a folder of Parquet shards, ``<split>/part-00000.parquet``, beside a ``dataset.json``."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import Field

from bonafide import config, files
from bonafide.config import Config
from bonafide.errors import DataError
from bonafide.features import Feature
from bonafide.modality import Modality

ALL = "all"
SPLITS = ("train", "val", "test", "holdout")
INFO = "dataset.json"
ROW_GROUP_ROWS = 1024
ROW_GROUP_BYTES = 32 * 2**20
SHARD_BYTES = 512 * 2**20

_IMAGE_FEATURE = {"info": {"features": {"image": {"_type": "Image"}}}}

_TRUTH = [("label", pa.int64()), ("label_name", pa.string()), ("sha256", pa.string())]
_ORIGIN = [(name, pa.string()) for name in ("source", "generator", "group", "given")]

SCHEMA = pa.schema(
    [
        ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        *_TRUTH,
        ("phash", pa.string()),
        ("width", pa.int64()),
        ("height", pa.int64()),
        ("format", pa.string()),
        *_ORIGIN,
    ],
    metadata={"huggingface": json.dumps(_IMAGE_FEATURE)},
)

_REPEATING = {"label_name", "format", "source", "generator", "group", "given"}
_STORED = "image.bytes"


def table_schema(features: Iterable[Feature]) -> pa.Schema:
    """What :data:`SCHEMA` is to images; ``row`` has a number for each feature, in their order."""
    row = pa.struct([(feature.name, pa.float32()) for feature in features])
    return pa.schema([("row", row), ("path", pa.string()), *_TRUTH, *_ORIGIN])


class Quarantined(Config):
    """A file or row that was refused: where it was, a short reason and a sentence for people."""

    path: str
    reason: str
    message: str


class Origin(Config):
    """A source that was read: its kind, what reports call it, and what told its content then.

    ``digest`` is a commit on the Hugging Face Hub, or the digest that caching followed; empty if not known.
    """

    kind: str
    name: str
    digest: str


class DatasetInfo(Config):
    """What ``dataset.json`` holds.

    ``features`` are a table's columns. ``counts`` is inputs by split and label name; ``digest`` identifies
    the content (:func:`digest`);
    ``parents`` are the digests it was made from; ``excluded`` counts inputs left out, by reason;
    ``skipped`` lists the files that the source passed over because their names are not those of images;
    ``origins`` are the sources, in their order.
    """

    labels: tuple[str, ...]
    modality: Modality = "image"
    features: tuple[Feature, ...] = ()
    counts: dict[str, dict[str, int]]
    sources: dict[str, int]
    generators: dict[str, int]
    digest: str
    seed: int | None = None
    parents: tuple[str, ...] = ()
    quarantined: tuple[Quarantined, ...] = ()
    skipped: tuple[str, ...] = ()
    excluded: dict[str, int] = Field(default={})
    origins: tuple[Origin, ...] = ()


def write_info(folder: Path, info: DatasetInfo) -> None:
    """Write ``dataset.json``."""
    files.write_json(folder / INFO, info.model_dump(mode="json"))


def read_info(folder: Path) -> DatasetInfo:
    """Read ``dataset.json``.

    Raises:
        DataError: ``folder`` holds no dataset, or one written by something else.
    """
    return config.read(DatasetInfo, folder / INFO, "ingest")


def digest(rows: Iterable[tuple[str, str, str, str]]) -> str:
    """The SHA-256 over the lines ``sha256 label_name split group``, in the order of the rows.

    Order and groups count: audits and predictions name rows by position, and intervals rest on groups.
    """
    lines = "".join(f"{' '.join(row)}\n" for row in rows)
    return hashlib.sha256(lines.encode()).hexdigest()


def content(folder: Path) -> str:
    """A digest of all that a dataset's folder holds but its origins: where they lay does not count."""
    info = read_info(folder).model_dump_json(exclude={"origins"})
    rest = (path for path in folder.rglob("*") if path.is_file() and path != folder / INFO)
    return hashlib.sha256(f"{files.folder_digest(folder, rest)} {info}".encode()).hexdigest()


def describe(folder: Path, splits: Iterable[str], labels: tuple[str, ...], **more: Any) -> DatasetInfo:
    """Count what the shards in ``folder`` hold; ``more`` are further fields of :class:`DatasetInfo`."""
    counts: dict[str, dict[str, int]] = {}
    sources: Counter[str] = Counter()
    generators: Counter[str] = Counter()
    rows: list[tuple[str, str, str, str]] = []
    for split in splits:
        table = read(folder, split, ["sha256", "label_name", "source", "generator", "group"]).to_pydict()
        found = Counter(table["label_name"])
        counts[split] = {label: found[label] for label in labels}
        sources.update(table["source"])
        generators.update(name for name in table["generator"] if name is not None)
        named = zip(table["sha256"], table["label_name"], table["group"], strict=True)
        rows += [(sha, label, split, group) for sha, label, group in named]
    return DatasetInfo(
        labels=labels,
        counts=counts,
        sources=dict(sorted(sources.items())),
        generators=dict(sorted(generators.items())),
        digest=digest(rows),
        **more,
    )


def shards(folder: Path, split: str) -> list[Path]:
    """The shards of a split, in order.

    Raises:
        DataError: there are none.
    """
    found = sorted((folder / split).glob("part-*.parquet"))
    if not found:
        present = sorted(path.name for path in folder.glob("*/") if any(path.glob("part-*.parquet")))
        raise DataError(f"{folder} has no split {split!r}; it has: {', '.join(present) or 'none'}")
    return found


def read(folder: Path, split: str, columns: list[str] | None = None) -> pa.Table:
    """A split, or some of its columns, as a table in memory.

    Whoever needs the images' bytes streams them (:func:`batches`, :func:`images`). ``image.path`` may be
    asked for alone; it arrives as ``path``.

    Raises:
        DataError: the split is not there.
    """
    return pq.read_table(shards(folder, split), columns=columns)


def schema(folder: Path, split: str) -> pa.Schema:
    """The columns of a split.

    Raises:
        DataError: the split is not there.
    """
    return pq.read_schema(shards(folder, split)[0])


def paths(folder: Path, split: str) -> list[str]:
    """Where each image or row of a split was read, for people.

    Raises:
        DataError: the split is not there.
    """
    column = "path" if "path" in schema(folder, split).names else "image.path"
    return list(read(folder, split, [column])["path"].to_pylist())


def rows(folder: Path, split: str) -> NDArray[np.float32]:
    """A table's split as float32 [N, C], in the order of its ``features``.

    Raises:
        DataError: the split is not there.
    """
    names = [feature.name for feature in read_info(folder).features]
    table = read(folder, split, [f"row.{name}" for name in names])
    return np.stack([table[name].to_numpy() for name in names], axis=1)


def batches(folder: Path, split: str, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    """Stream a split, or some of its columns, by row group: at most about 32 MiB of images at a time.

    Raises:
        DataError: the split is not there.
    """
    for path in shards(folder, split):
        with pq.ParquetFile(path, memory_map=True) as shard:
            for index in range(shard.num_row_groups):
                yield from shard.read_row_group(index, columns).to_batches()


def images(folder: Path, split: str) -> Iterator[tuple[dict[str, Any], bytes]]:
    """Stream a split: each image's columns (``path`` in place of ``image``) and its file's bytes.

    Raises:
        DataError: the split is not there.
    """
    for batch in batches(folder, split):
        for row in batch.to_pylist():
            image = row.pop("image")
            yield {"path": image["path"], **row}, image["bytes"]


def inputs(folder: Path, split: str) -> Iterator[Any]:
    """Stream a split: each image's bytes, or each row float32 [C].

    Raises:
        DataError: the split is not there.
    """
    if "row" in schema(folder, split).names:
        yield from rows(folder, split)
    else:
        yield from (content for _, content in images(folder, split))


def examples(folder: Path, split: str, labels: tuple[str, ...], per_label: int) -> list[dict[str, Any]]:
    """A few inputs of each label: ``name`` (where it was read), ``truth`` and ``content``."""
    names = read(folder, split, ["label_name"])["label_name"].to_pylist()
    places = paths(folder, split)
    chosen = []
    for label in labels:
        members = [index for index, name in enumerate(names) if name == label]
        chosen += members[:: max(1, len(members) // per_label)][:per_label]
    found = {
        index: {"name": places[index], "truth": names[index], "content": content}
        for index, content in enumerate(inputs(folder, split))
        if index in chosen
    }
    return [found[index] for index in chosen]


class ShardWriter:
    """Stream record batches of one schema to ``<folder>/<split>/part-NNNNN.parquet``.

    At most one row group is held in memory. A shard carries its final name only once it is whole, and
    an exception inside the ``with`` block removes what was written. A split without rows has no shard.
    """

    def __init__(self, folder: Path, split: str, rows_per_shard: int = 20_000) -> None:
        self._folder = folder / split
        self._rows_per_shard = rows_per_shard
        self._buffer: list[pa.RecordBatch] = []
        self._writer: pq.ParquetWriter | None = None
        self._shards: list[Path] = []
        self._rows = 0
        self._bytes = 0

    def __enter__(self) -> "ShardWriter":
        self._folder.mkdir(parents=True, exist_ok=True)
        return self

    def write(self, batch: pa.RecordBatch) -> None:
        """Append rows, in order."""
        start = 0
        while start < batch.num_rows:
            room = min(ROW_GROUP_ROWS, self._rows_per_shard - self._rows) - self._buffered_rows()
            self._buffer.append(batch.slice(start, room))
            start += room
            full = self._rows + self._buffered_rows() >= self._rows_per_shard
            bytes_waiting = sum(part.nbytes for part in self._buffer)
            if full or self._buffered_rows() >= ROW_GROUP_ROWS or bytes_waiting >= ROW_GROUP_BYTES:
                self._flush()
            if full or self._bytes >= SHARD_BYTES:
                self._finish_shard()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._flush()
            self._finish_shard()
            return
        if self._writer:
            self._writer.close()
        for path in (*self._shards, self._unfinished()):
            path.unlink(missing_ok=True)

    def _buffered_rows(self) -> int:
        return sum(part.num_rows for part in self._buffer)

    def _unfinished(self) -> Path:
        return self._folder / f".part-{len(self._shards):05d}.parquet"

    def _flush(self) -> None:
        if not self._buffer:
            return
        table = pa.Table.from_batches(self._buffer)
        if self._writer is None:
            self._writer = _writer(self._unfinished(), table.schema)
        self._writer.write_table(table, row_group_size=table.num_rows)
        self._rows += table.num_rows
        self._bytes += table.nbytes
        self._buffer = []

    def _finish_shard(self) -> None:
        if self._writer is None:
            return
        self._writer.close()
        final = self._folder / self._unfinished().name.removeprefix(".")
        self._unfinished().rename(final)
        self._shards.append(final)
        self._writer, self._rows, self._bytes = None, 0, 0


def _writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """Images are compressed as they are."""
    parts = [(field.name, field.type if pa.types.is_struct(field.type) else ()) for field in schema]
    leaves = [f"{name}.{part.name}" for name, struct in parts for part in struct]
    leaves += [name for name, struct in parts if not struct]
    compression = {leaf: "NONE" if leaf == _STORED else "ZSTD" for leaf in leaves}
    repeating = [name for name in schema.names if name in _REPEATING]
    return pq.ParquetWriter(path, schema, compression=compression, use_dictionary=repeating)

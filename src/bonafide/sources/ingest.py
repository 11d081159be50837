"""The ingest step: from any source to a dataset."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from bonafide.data.build import RawImage, build_dataset
from bonafide.data.dataset import DatasetInfo
from bonafide.sources.folder import folder_digest, read_folder, skipped_files
from bonafide.sources.tree import find_tree, is_remote
from bonafide.task import FolderSource, ParquetSource, SampleSource, Source, Task


class Reading(NamedTuple):
    """A source's images, and the files in it that were passed over."""

    images: Iterator[RawImage]
    skipped: tuple[str, ...] = ()


def ingest(source: Source, labels: tuple[str, ...], out: Path, seed: int) -> DatasetInfo:
    """Write the source's images to ``out`` as one unsplit dataset.

    Raises:
        DataError: the source is not there, or holds no usable images of at least two of the labels.
    """
    with READERS[type(source)](source, seed) as found:
        return build_dataset(found.images, labels, out, seed, skipped=found.skipped)


def with_digest(task: Task) -> Task:
    """The task with the digest of what its source holds now, so that caching follows the content.

    Raises:
        DataError: the source is not there.
    """
    digest = DIGESTS.get(type(task.source))
    return task.model_copy(update={"source": digest(task.source)}) if digest else task


def with_source(task: Task, folder: Path | None) -> Task:
    """The task reading ``folder`` instead of its own source, with the content's digest for caching."""
    return with_digest(task.model_copy(update={"source": FolderSource(path=str(folder))}) if folder else task)


def as_seen_elsewhere(task: Task) -> Task:
    """For another machine: with the digest of a source in a bucket; that of a folder there is not known.

    Raises:
        DataError: the bucket cannot be reached.
    """
    return with_digest(task) if is_remote(getattr(task.source, "path", "")) else task


@contextmanager
def _sample(source: SampleSource, seed: int) -> Iterator[Reading]:
    from bonafide.sources.sample import build_sample

    with tempfile.TemporaryDirectory() as scratch:
        folder = build_sample(Path(scratch) / "sample", source.images, source.size, seed)
        yield Reading(read_folder(find_tree(folder)))


@contextmanager
def _folder(source: FolderSource, _: int) -> Iterator[Reading]:
    tree = find_tree(source.path)
    yield Reading(read_folder(tree, source.labels, source.name), skipped_files(tree))


@contextmanager
def _parquet(source: ParquetSource, _: int) -> Iterator[Reading]:
    from bonafide.sources.parquet import read_parquet

    yield Reading(read_parquet(source))


def _folder_with_digest(source: FolderSource) -> FolderSource:
    path = source.path if is_remote(source.path) else str(Path(source.path).resolve())
    return source.model_copy(update={"path": path, "digest": folder_digest(find_tree(path))})


def _parquet_with_digest(source: ParquetSource) -> ParquetSource:
    from bonafide.sources.parquet import parquet_digest

    path = source.path if is_remote(source.path) else str(Path(source.path).absolute())
    found = source.model_copy(update={"path": path})
    return found.model_copy(update={"digest": parquet_digest(found)})


READERS: dict[type, Callable[..., Any]] = {
    SampleSource: _sample,
    FolderSource: _folder,
    ParquetSource: _parquet,
}
DIGESTS: dict[type, Callable[[Any], Any]] = {
    FolderSource: _folder_with_digest,
    ParquetSource: _parquet_with_digest,
}

"""The ingest step: from any sources to one dataset."""

import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from bonafide.addresses import is_in_store
from bonafide.data.build import RawImage, build_dataset
from bonafide.data.dataset import DatasetInfo, Origin
from bonafide.errors import DataError
from bonafide.features import Feature
from bonafide.source import (
    FeedbackSource,
    FolderSource,
    HuggingFaceSource,
    ParquetSource,
    SampleSource,
    Source,
)
from bonafide.sources.folder import folder_digest, read_folder, skipped_files
from bonafide.sources.tree import find_tree
from bonafide.task import Task

NUMBERED = re.compile("[0-9]+/")


class Reading(NamedTuple):
    """A source's images, what it is, and the files in it that were passed over."""

    images: Iterator[RawImage]
    origin: Origin
    skipped: tuple[str, ...] = ()


def ingest(
    sources: tuple[Source, ...],
    labels: tuple[str, ...],
    out: Path,
    seed: int,
    _: tuple[Feature, ...] = (),
) -> DatasetInfo:
    """Write the sources' images to ``out`` as one unsplit dataset, one source after the other.

    Groups of the first source keep their names, unless they look numbered. Those of another have its number
    before them, or that of the first source with the same ``namespace``. So no two meet by chance, and a
    source that is added at the end renames none.

    Raises:
        DataError: a source is not there, is not what its digest says, or they hold no usable images of at
            least two of the labels.
    """
    with ExitStack() as stack:
        found = [stack.enter_context(READERS[type(source)](source, seed)) for source in sources]
        images = chain.from_iterable(
            _numbered(_unchanged(reading.images, source), number)
            for source, reading, number in zip(sources, found, _numbers(sources), strict=True)
        )
        return build_dataset(
            images,
            labels,
            out,
            seed,
            skipped=tuple(chain.from_iterable(reading.skipped for reading in found)),
            origins=tuple(reading.origin for reading in found),
        )


def with_digest(task: Task) -> Task:
    """The task with digests of what its sources hold now, so that caching follows the content.

    Raises:
        DataError: a source is not there.
    """
    return _with_sources(task, [DIGESTS[type(source)](source) for source in task.sources])


def with_source(task: Task, place: str) -> Task:
    """The task reading the folder ``place``, if any, instead of its own sources, with digests for caching."""
    return with_digest(task.model_copy(update={"source": FolderSource(path=place)}) if place else task)


def as_seen_elsewhere(task: Task) -> Task:
    """For another machine: with digests of what lies in a bucket or on the Hub; of folders none is known.

    Raises:
        DataError: a bucket or the Hub cannot be reached.
    """
    seen = [DIGESTS[type(source)](source) if _is_elsewhere(source) else source for source in task.sources]
    return _with_sources(task, seen)


def _is_elsewhere(source: Source) -> bool:
    if source.kind == "feedback":
        from bonafide.sources.feedback import is_elsewhere

        return is_elsewhere()
    return source.kind == "huggingface" or is_in_store(getattr(source, "path", ""))


def _with_sources(task: Task, sources: list[Source]) -> Task:
    return task.model_copy(update={"source": tuple(sources) if len(sources) > 1 else sources[0]})


def _numbers(sources: tuple[Source, ...]) -> list[int]:
    """Of each source the number that its groups go by."""
    names = [source.namespace for source in sources]
    return [names.index(name) + 1 if name else number for number, name in enumerate(names, start=1)]


def _numbered(images: Iterator[RawImage], number: int) -> Iterator[RawImage]:
    for image in images:
        if image.group and (number > 1 or NUMBERED.match(image.group)):
            image = replace(image, group=f"{number}/{image.group}")
        yield image


def _unchanged(images: Iterator[RawImage], source: Source) -> Iterator[RawImage]:
    """The digest was taken when the run was submitted, and caching knows the dataset by it."""
    if _is_elsewhere(source):
        _refuse_changed(source)
    yield from images
    _refuse_changed(source)


def _refuse_changed(source: Source) -> None:
    if not isinstance(source, FolderSource | ParquetSource | FeedbackSource) or not source.digest:
        return
    if DIGESTS[type(source)](source).digest != source.digest:
        name = getattr(source, "path", source.name)
        raise DataError(f"{name} has changed since the run was submitted; run again to read it as it is")


@contextmanager
def _sample(source: SampleSource, seed: int) -> Iterator[Reading]:
    from bonafide.sources.sample import build_sample

    with tempfile.TemporaryDirectory() as scratch:
        folder = build_sample(Path(scratch) / "sample", source.images, source.size, seed)
        yield Reading(read_folder(find_tree(folder)), Origin(kind=source.kind, name="sample", digest=""))


@contextmanager
def _folder(source: FolderSource, _: int) -> Iterator[Reading]:
    tree = find_tree(source.path)
    origin = Origin(kind=source.kind, name=source.name or tree.name, digest=source.digest)
    yield Reading(read_folder(tree, source.labels, source.name), origin, skipped_files(tree))


@contextmanager
def _parquet(source: ParquetSource, _: int) -> Iterator[Reading]:
    from bonafide.sources.parquet import read_parquet

    name = source.name or Path(source.path).name
    yield Reading(read_parquet(source), Origin(kind=source.kind, name=name, digest=source.digest))


@contextmanager
def _hugging_face(source: HuggingFaceSource, _: int) -> Iterator[Reading]:
    from bonafide.sources.hub import download
    from bonafide.sources.parquet import read_parquet

    found, commit = download(source)
    yield Reading(read_parquet(found), Origin(kind=source.kind, name=source.dataset, digest=commit))


@contextmanager
def _feedback(source: FeedbackSource, _: int) -> Iterator[Reading]:
    from bonafide.sources.feedback import read_feedback

    yield Reading(read_feedback(source), Origin(kind=source.kind, name=source.name, digest=source.digest))


def _as_it_is(source: SampleSource) -> SampleSource:
    return source


def _folder_with_digest(source: FolderSource) -> FolderSource:
    path = source.path if is_in_store(source.path) else str(Path(source.path).resolve())
    return source.model_copy(update={"path": path, "digest": folder_digest(find_tree(path))})


def _parquet_with_digest(source: ParquetSource) -> ParquetSource:
    from bonafide.sources.parquet import parquet_digest

    path = source.path if is_in_store(source.path) else str(Path(source.path).absolute())
    found = source.model_copy(update={"path": path})
    return found.model_copy(update={"digest": parquet_digest(found)})


def _hugging_face_with_digest(source: HuggingFaceSource) -> HuggingFaceSource:
    from bonafide.sources.hub import find_commit

    return source.model_copy(update={"digest": find_commit(source)})


def _feedback_with_digest(source: FeedbackSource) -> FeedbackSource:
    from bonafide.sources import feedback

    return feedback.with_digest(source)


READERS: dict[type, Callable[..., AbstractContextManager[Reading]]] = {
    SampleSource: _sample,
    FolderSource: _folder,
    ParquetSource: _parquet,
    HuggingFaceSource: _hugging_face,
    FeedbackSource: _feedback,
}
DIGESTS: dict[type, Callable[[Any], Any]] = {
    SampleSource: _as_it_is,
    FolderSource: _folder_with_digest,
    ParquetSource: _parquet_with_digest,
    HuggingFaceSource: _hugging_face_with_digest,
    FeedbackSource: _feedback_with_digest,
}

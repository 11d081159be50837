"""The ingest step: from any sources to one dataset."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from bonafide.data.build import RawImage, build_dataset
from bonafide.data.dataset import DatasetInfo, Origin
from bonafide.features import Feature
from bonafide.source import (
    FeedbackSource,
    FolderSource,
    HuggingFaceSource,
    ImageSource,
    ParquetSource,
    SampleSource,
    Source,
)
from bonafide.sources.digests import is_elsewhere, refuse_changed
from bonafide.sources.folder import read_folder, skipped_files
from bonafide.sources.groups import numbered, numbers
from bonafide.sources.tree import find_tree


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
            _numbered(_unchanged(_labelled(reading.images, source), source), number)
            for source, reading, number in zip(sources, found, numbers(sources), strict=True)
        )
        return build_dataset(
            images,
            labels,
            out,
            seed,
            skipped=tuple(chain.from_iterable(reading.skipped for reading in found)),
            origins=tuple(reading.origin for reading in found),
        )


def _labelled(images: Iterator[RawImage], source: Source) -> Iterator[RawImage]:
    if not isinstance(source, ImageSource) or source.label_from == "class":
        yield from images
        return
    for image in images:
        name = image.source if source.label_from == "source" else image.generator or "none"
        yield replace(image, label_name=source.labels.get(name, name))


def _numbered(images: Iterator[RawImage], number: int) -> Iterator[RawImage]:
    for image in images:
        yield replace(image, group=numbered(image.group, number)) if image.group else image


def _unchanged(images: Iterator[RawImage], source: Source) -> Iterator[RawImage]:
    if is_elsewhere(source):
        refuse_changed(source, "image")
    yield from images
    refuse_changed(source, "image")


@contextmanager
def _sample(source: SampleSource, seed: int) -> Iterator[Reading]:
    from bonafide.sources.sample import build_sample

    with tempfile.TemporaryDirectory() as scratch:
        folder = build_sample(Path(scratch) / "sample", source.images, source.size, seed)
        images = read_folder(find_tree(folder), source.labels)
        yield Reading(images, Origin(kind=source.kind, name="sample", digest=""))


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


READERS: dict[type, Callable[..., AbstractContextManager[Reading]]] = {
    SampleSource: _sample,
    FolderSource: _folder,
    ParquetSource: _parquet,
    HuggingFaceSource: _hugging_face,
    FeedbackSource: _feedback,
}

"""What a task's sources and weights hold now, as digests that caching follows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from bonafide.addresses import is_in_store
from bonafide.errors import DataError
from bonafide.files import sha256
from bonafide.modality import Modality
from bonafide.source import (
    GIVEN,
    FeedbackSource,
    FolderSource,
    HuggingFaceSource,
    ParquetSource,
    RowsSource,
    SampleSource,
    ScikitLearnSource,
    Source,
)
from bonafide.task import Model, Task

InFiles = TypeVar("InFiles", ParquetSource, RowsSource)


def with_digest(task: Task) -> Task:
    """The task with digests of what its sources and weights hold now, so that caching follows the content.

    Raises:
        DataError: a source or a file of weights is not there.
    """
    return with_weights(with_digests(task))


def with_digests(task: Task) -> Task:
    """The task with digests of what its sources hold now.

    Raises:
        DataError: a source is not there.
    """
    return _with_sources(task, [_digested(source, task.modality) for source in task.sources])


def with_weights(task: Task) -> Task:
    """The task with the digest of the file whose weights training begins from, if there is one.

    Raises:
        DataError: it is not there.
    """
    if not isinstance(task.model, Model) or not (file := task.model.weights_file):
        return task
    known = {"weights": str(file.absolute()), "weights_digest": weights_digest(file)}
    return task.model_copy(update={"model": task.model.model_copy(update=known)})


def weights_digest(file: Path) -> str:
    """The SHA-256 of a file of weights.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return sha256(file)
    except OSError as error:
        raise DataError(f"model.weights: cannot read {file}: {error.strerror}; name another file") from error


def with_source(task: Task, place: str) -> Task:
    """The task reading what lies at ``place``, if any, instead of its own sources, with digests for caching.

    Of images it is a folder, of tables a file. What its labels are is as the first source says, and what its
    columns are called, if that is of files too.
    """
    if not place:
        return with_digest(task)
    first = task.sources[0]
    kept = {"labels", "label_from"} | ({"columns", "label", "group"} if first.kind == "rows" else set())
    said = first.model_dump(include=kept)
    return with_digest(task.model_copy(update={"source": GIVEN[task.modality](path=place, **said)}))


def as_seen_elsewhere(task: Task) -> Task:
    """For another machine: with digests of what lies in a bucket or on the Hub; of folders none is known.

    Raises:
        DataError: a bucket or the Hub cannot be reached.
    """
    seen = [_digested(source, task.modality) if is_elsewhere(source) else source for source in task.sources]
    return _with_sources(task, seen)


def is_elsewhere(source: Source) -> bool:
    """Whether other machines read the same there."""
    if source.kind == "feedback":
        from bonafide.sources import feedback

        return feedback.is_elsewhere()
    return source.kind == "huggingface" or is_in_store(getattr(source, "path", ""))


def refuse_changed(source: Source, modality: Modality) -> None:
    """The digest was taken when the run was submitted, and caching knows the dataset by it.

    Raises:
        DataError: the source holds something else now.
    """
    if isinstance(source, HuggingFaceSource) or not (known := getattr(source, "digest", "")):
        return
    if getattr(_digested(source, modality), "digest", "") != known:
        name = getattr(source, "path", getattr(source, "name", ""))
        raise DataError(f"{name} has changed since the run was submitted; run again to read it as it is")


def _with_sources(task: Task, sources: list[Source]) -> Task:
    return task.model_copy(update={"source": tuple(sources) if len(sources) > 1 else sources[0]})


def _digested(source: Source, modality: Modality) -> Source:
    if isinstance(source, FeedbackSource):
        from bonafide.sources import feedback

        return feedback.with_digest(source, modality)
    found: Source = DIGESTS[type(source)](source)
    return found


def _as_it_is(source: Source) -> Source:
    return source


def _folder(source: FolderSource) -> FolderSource:
    from bonafide.sources.folder import folder_digest
    from bonafide.sources.tree import find_tree

    path = source.path if is_in_store(source.path) else str(Path(source.path).resolve())
    return source.model_copy(update={"path": path, "digest": folder_digest(find_tree(path))})


def _parquet(source: ParquetSource) -> ParquetSource:
    from bonafide.sources.parquet import ENDINGS

    return _files(source, ENDINGS)


def _rows(source: RowsSource) -> RowsSource:
    from bonafide.sources.rows import ENDINGS

    return _files(source, ENDINGS)


def _files(source: InFiles, endings: tuple[str, ...]) -> InFiles:
    from bonafide.sources.tree import files_digest

    path = source.path if is_in_store(source.path) else str(Path(source.path).absolute())
    return source.model_copy(update={"path": path, "digest": files_digest(path, endings)})


def _hugging_face(source: HuggingFaceSource) -> HuggingFaceSource:
    from bonafide.sources.hub import find_commit

    return source.model_copy(update={"digest": find_commit(source)})


DIGESTS: dict[type, Callable[[Any], Any]] = {
    SampleSource: _as_it_is,
    FolderSource: _folder,
    ParquetSource: _parquet,
    HuggingFaceSource: _hugging_face,
    RowsSource: _rows,
    ScikitLearnSource: _as_it_is,
}

"""A person's own images: a folder with one sub-folder for each class."""

import csv
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from bonafide.data.build import RawImage
from bonafide.data.header import Limits
from bonafide.errors import DataError
from bonafide.files import sha256
from bonafide.task import FolderSource, Task

EXTENSIONS = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic")
)
MANIFEST = "manifest.csv"
COLUMNS = ("path", "group", "generator", "source")

Manifest = dict[str, dict[str, str]]


def read_folder(path: Path) -> Iterator[RawImage]:
    """The images of ``path``: the name of a sub-folder is the label of all images inside, at any depth.

    Order is by class and then by path. Hidden files and files without an image's extension are passed
    over. A ``manifest.csv`` in ``path`` may give ``group``, ``generator`` and ``source`` to a ``path``
    relative to the folder. Of a file larger than an image may be only one byte over the limit is read.

    Raises:
        DataError: no such folder, no sub-folder, no image, an image outside a class, a manifest that
            does not fit, or a file that may not be read.
    """
    found = _find(path)
    manifest = _read_manifest(path / MANIFEST, {_name(path, file) for _, file in found})
    return (_load(path, label, file, manifest.get(_name(path, file), {})) for label, file in found)


def folder_labels(path: Path) -> tuple[str, ...]:
    """The classes that hold at least one image, sorted.

    Raises:
        DataError: as :func:`read_folder`.
    """
    return tuple(sorted({label for label, _ in _find(path)}))


def folder_digest(path: Path) -> str:
    """A SHA-256 over the names and contents of all that :func:`read_folder` reads, in order.

    Raises:
        DataError: as :func:`read_folder`.
    """
    read = [file for _, file in _find(path)]
    if (path / MANIFEST).is_file():
        read.append(path / MANIFEST)
    lines = (f"{sha256(file)} {_name(path, file)}\n" for file in read)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def with_source(task: Task, folder: Path | None) -> Task:
    """The task reading ``folder`` instead of its own source, with the content's digest for caching."""
    source = FolderSource(path=str(folder)) if folder else task.source
    if not isinstance(source, FolderSource):
        return task
    path = Path(source.path).resolve()
    return task.model_copy(update={"source": FolderSource(path=str(path), digest=folder_digest(path))})


def _find(path: Path) -> list[tuple[str, Path]]:
    if not path.is_dir():
        raise DataError(f"{path} is no folder; give one with a sub-folder of images for each class")
    classes = sorted(entry for entry in path.iterdir() if entry.is_dir() and not _hidden(entry))
    stray = sorted(entry.name for entry in path.iterdir() if entry.is_file() and _is_image(entry))
    if stray:
        raise DataError(
            f"{path}: {len(stray)} images lie outside a class, for example {stray[0]}; "
            "move each into the sub-folder of its class"
        )
    if not classes:
        raise DataError(f"{path} has no sub-folder; put the images of each class into one named after it")
    found = [(folder.name, file) for folder in classes for file in _walk(folder)]
    if not found:
        names = ", ".join(folder.name for folder in classes[:5])
        raise DataError(f"{path}: no image in the sub-folders ({names}); give JPEG, PNG or WebP files")
    return found


def _walk(folder: Path) -> list[Path]:
    found = []
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [file for name in names if _is_image(file := Path(root, name))]
    return sorted(found)


def _hidden(path: Path) -> bool:
    return path.name.startswith(".")


def _is_image(path: Path) -> bool:
    return not _hidden(path) and path.suffix.lower() in EXTENSIONS


def _name(root: Path, file: Path) -> str:
    return os.fsencode(file.relative_to(root).as_posix()).decode(errors="replace")


def _load(root: Path, label: str, file: Path, extra: dict[str, str]) -> RawImage:
    try:
        with file.open("rb") as stream:
            content = stream.read(Limits().max_bytes + 1)
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror}; make it readable or remove it") from error
    return RawImage(
        path=_name(root, file),
        content=content,
        label_name=label,
        source=extra.get("source") or root.resolve().name,
        generator=extra.get("generator") or None,
        group=extra.get("group") or None,
    )


def _read_manifest(path: Path, present: set[str]) -> Manifest:
    if not path.is_file():
        return {}
    rows: Manifest = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            columns = reader.fieldnames or []
            if "path" not in columns or (unknown := set(columns) - set(COLUMNS)):
                problem = "no column path" if "path" not in columns else f"unknown columns {sorted(unknown)}"
                raise DataError(f"{path}: {problem}; its columns may be {', '.join(COLUMNS)}")
            for row in reader:
                if None in row:
                    raise DataError(f"{path} line {reader.line_num}: more values than columns; quote commas")
                name = row.pop("path")
                if name in rows:
                    raise DataError(f"{path} line {reader.line_num}: {name} stands twice; keep one line")
                if name not in present:
                    raise DataError(
                        f"{path} line {reader.line_num}: no image {name!r} in {path.parent}; "
                        "write paths relative to that folder, with /"
                    )
                rows[name] = row
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is no CSV file in UTF-8: {error}; save it as one") from error
    return rows

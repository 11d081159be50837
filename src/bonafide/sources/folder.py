"""A person's own images: a folder with one sub-folder for each class."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bonafide.data.build import RawImage
from bonafide.data.dataset import SPLITS
from bonafide.data.header import Limits
from bonafide.errors import DataError
from bonafide.files import sha256
from bonafide.sources.manifest import MANIFEST, read_manifest

EXTENSIONS = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic")
)


@dataclass(frozen=True)
class Found:
    """An image's file, its class and the split that its folder puts it in."""

    file: Path
    label: str
    given: str | None


def read_folder(path: Path) -> Iterator[RawImage]:
    """The images of ``path``: the name of a sub-folder is the label of all images inside, at any depth.

    If all sub-folders are named train, val, test or holdout and hold folders themselves, they are the
    source's own split and the folders in them are the classes, as in ``train/REAL``.

    Order is by class folder and then by path. Hidden files are passed over, and so are files without an
    image's extension (:func:`skipped_files`). A ``manifest.csv`` in ``path`` may give ``group``,
    ``generator``, ``source`` and ``split`` to a ``path`` relative to the folder; its split goes before the
    folder's. Of a file larger than an image may be only one byte over the limit is read.

    Raises:
        DataError: no such folder, no sub-folder, no image, an image outside a class, a manifest that
            does not fit, or a file that may not be read.
    """
    images = _find(path)
    manifest = read_manifest(path / MANIFEST, {_name(path, found.file) for found in images})
    return (_load(path, found, manifest.get(_name(path, found.file), {})) for found in images)


def folder_labels(path: Path) -> tuple[str, ...]:
    """The classes that hold at least one image, sorted.

    Raises:
        DataError: as :func:`read_folder`.
    """
    return tuple(sorted({found.label for found in _find(path)}))


def skipped_files(path: Path) -> tuple[str, ...]:
    """The files that :func:`read_folder` passes over for their extension, sorted; not the hidden ones."""
    files = (file for file in _walk(path) if not _is_image(file) and file != path / MANIFEST)
    return tuple(_name(path, file) for file in files)


def folder_digest(path: Path) -> str:
    """A SHA-256 over names and contents of all that :func:`read_folder` reads, and the names of the rest.

    Raises:
        DataError: as :func:`read_folder`.
    """
    read = [found.file for found in _find(path)]
    if (path / MANIFEST).is_file():
        read.append(path / MANIFEST)
    lines = [f"{sha256(file)} {_name(path, file)}\n" for file in read]
    lines += [f"skipped {name}\n" for name in skipped_files(path)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _find(path: Path) -> list[Found]:
    if not path.is_dir():
        raise DataError(f"{path} is no folder; give one with a sub-folder of images for each class")
    tops = _folders(path)
    divided = bool(tops) and all(top.name in SPLITS and _folders(top) for top in tops)
    holders = tops if divided else [path]
    classes = [(folder, top.name if divided else None) for top in holders for folder in _folders(top)]
    outside = [file for holder in {path, *holders} for file in holder.iterdir()]
    if stray := sorted(_name(path, file) for file in outside if file.is_file() and _is_image(file)):
        raise DataError(
            f"{path}: {len(stray)} images lie outside a class, for example {stray[0]}; "
            "move each into the sub-folder of its class"
        )
    if not classes:
        raise DataError(f"{path} has no sub-folder; put the images of each class into one named after it")
    images = [
        Found(file, folder.name, given)
        for folder, given in classes
        for file in _walk(folder)
        if _is_image(file)
    ]
    if not images:
        names = ", ".join(_name(path, folder) for folder, _ in classes[:5])
        raise DataError(f"{path}: no image in the sub-folders ({names}); give JPEG, PNG or WebP files")
    return images


def _folders(path: Path) -> list[Path]:
    return sorted(entry for entry in path.iterdir() if entry.is_dir() and not _hidden(entry))


def _walk(folder: Path) -> list[Path]:
    """All files that are not hidden, sorted; a linked folder counts as a file, because it is not entered."""
    found = []
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        linked = [name for name in folders if Path(root, name).is_symlink()]
        found += [Path(root, name) for name in (*names, *linked) if not name.startswith(".")]
    return sorted(found)


def _hidden(path: Path) -> bool:
    return path.name.startswith(".")


def _is_image(path: Path) -> bool:
    return not _hidden(path) and path.suffix.lower() in EXTENSIONS


def _name(root: Path, file: Path) -> str:
    return os.fsencode(file.relative_to(root).as_posix()).decode(errors="replace")


def _load(root: Path, found: Found, extra: dict[str, str]) -> RawImage:
    try:
        with found.file.open("rb") as stream:
            content = stream.read(Limits().max_bytes + 1)
    except OSError as error:
        raise DataError(
            f"cannot read {found.file}: {error.strerror}; make it readable or remove it"
        ) from error
    return RawImage(
        path=_name(root, found.file),
        content=content,
        label_name=found.label,
        source=extra.get("source") or root.resolve().name,
        generator=extra.get("generator") or None,
        group=extra.get("group") or None,
        given=extra.get("split") or found.given,
    )

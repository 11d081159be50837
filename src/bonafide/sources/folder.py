"""A person's own images: a folder with one sub-folder for each class, on disk or in a bucket."""

import hashlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import PurePosixPath

from bonafide.data.build import RawImage
from bonafide.data.header import Limits
from bonafide.errors import DataError
from bonafide.sources.manifest import MANIFEST, read_manifest
from bonafide.sources.tree import GIVEN, Tree, told
from bonafide.threads import mapped

EXTENSIONS = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic")
)
AT_ONCE = 8


@dataclass(frozen=True)
class Found:
    """An image's file, its class and the split that its folder puts it in."""

    file: str
    label: str
    given: str | None


def read_folder(tree: Tree, labels: Mapping[str, str] | None = None, source: str = "") -> Iterator[RawImage]:
    """The images of ``tree``: the name of a sub-folder is the label of all images inside, at any depth.

    If all sub-folders are named train, val (or validation), test or holdout and hold folders themselves,
    they are the source's own split and the folders in them are the classes, as in ``train/REAL``.

    Order is by class folder and then by path. Hidden files are passed over, and so are files without an
    image's extension (:func:`skipped_files`). A ``manifest.csv`` may give ``group``, ``generator``,
    ``source`` and ``split`` to a ``path`` relative to the folder; its split goes before the folder's. A few
    files are read ahead; of one larger than an image may be only one byte over the limit is read.

    Args:
        labels: what the task calls a class, where that is another name.
        source: what reports call where the images come from; the folder's name, if empty.

    Raises:
        DataError: no sub-folder, no image, an image outside a class, a manifest that does not fit, or a file
            that may not be read.
    """
    images = _find(tree)
    manifest = {}
    if MANIFEST in tree.files:
        content = tree.read(MANIFEST, None)
        manifest = read_manifest(content, tree.where, {told(found.file) for found in images})

    def load(found: Found) -> RawImage:
        name = told(found.file)
        extra = manifest.get(name, {})
        return RawImage(
            path=name,
            content=tree.read(found.file, Limits().max_bytes + 1),
            label_name=(labels or {}).get(found.label, found.label),
            source=extra.get("source") or source or tree.name,
            generator=extra.get("generator") or None,
            group=extra.get("group") or None,
            given=extra.get("split") or found.given,
        )

    def loaded() -> Iterator[RawImage]:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            yield from mapped(pool, load, images, ahead=2 * AT_ONCE)

    return loaded()


def skipped_files(tree: Tree) -> tuple[str, ...]:
    """The files that :func:`read_folder` passes over for their extension, sorted; not the hidden ones."""
    return tuple(told(name) for name in tree.files if not _is_image(name) and name != MANIFEST)


def folder_digest(tree: Tree) -> str:
    """A SHA-256 over names and versions of all that :func:`read_folder` reads, and the names of the rest.

    Raises:
        DataError: as :func:`read_folder`.
    """
    read = [found.file for found in _find(tree)]
    if MANIFEST in tree.files:
        read.append(MANIFEST)
    lines = [f"{tree.version(name)} {told(name)}\n" for name in read]
    lines += [f"skipped {name}\n" for name in skipped_files(tree)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _find(tree: Tree) -> list[Found]:
    folders = {name: name.split("/")[:-1] for name in tree.files}
    tops = {parts[0] for parts in folders.values() if parts}
    holding = {parts[0] for parts in folders.values() if len(parts) > 1}
    divided = bool(tops) and tops <= GIVEN.keys() & holding
    level = 1 if divided else 0
    names = [name for name in tree.files if _is_image(name)]
    if stray := [told(name) for name in names if len(folders[name]) <= level]:
        raise DataError(
            f"{tree.where}: {len(stray)} images lie outside a class, for example {stray[0]}; "
            "move each into the sub-folder of its class"
        )
    if not tops:
        raise DataError(
            f"{tree.where} has no sub-folder with files; put the images of each class into one named after it"
        )
    if not names:
        classes = sorted({"/".join(parts[: level + 1]) for parts in folders.values() if len(parts) > level})
        raise DataError(
            f"{tree.where}: no image in the sub-folders ({', '.join(map(told, classes[:5]))}); "
            "give JPEG, PNG or WebP files"
        )
    return [
        Found(name, told(folders[name][level]), GIVEN[folders[name][0]] if divided else None)
        for name in names
    ]


def _is_image(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in EXTENSIONS

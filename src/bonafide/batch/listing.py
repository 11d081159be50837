"""Which images a folder, a glob, a file or a bucket holds, always in the same order."""

import glob
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bonafide.batch.buckets import SCHEMES, listed_bucket
from bonafide.batch.entries import Entry, Listing, chosen, fixed_part
from bonafide.errors import BonafideError, ImageError


def listed(where: str) -> Listing:
    """The images that ``where`` stands for.

    Args:
        where: a folder (with all below it), a file, a glob, or ``gs://`` or ``s3://`` and one of these.

    Raises:
        BonafideError: there is no image, or it cannot be listed.
    """
    if "://" not in where:
        found = _local(where)
    elif where.startswith(SCHEMES):
        found = listed_bucket(where)
    else:
        raise BonafideError(f"{where}: give a folder, a glob, a file, {' or '.join(SCHEMES)}")
    if not found.entries:
        other = f", only {found.skipped} other files" if found.skipped else ""
        raise BonafideError(
            f"{where} holds no JPEG, PNG or WebP file{other}; give images or a folder of them"
        )
    return found


def _local(where: str) -> Listing:
    path = Path(where)
    if path.is_dir():
        return chosen((_entry(path, name) for name in _walk(path)), partial(_read, path))
    if glob.has_magic(where) and not path.exists():
        root = Path(fixed_part(path.as_posix()) or path.anchor)
        matches = root.glob(str(path.relative_to(root)))
        names = {str(match.relative_to(root)) for match in matches if not match.is_dir()}
        return chosen((_entry(root, name) for name in names), partial(_read, root))
    if not path.exists():
        raise BonafideError(f"{where} is not there; give a folder, a glob, a file, {' or '.join(SCHEMES)}")
    return Listing((_entry(path.parent, path.name),), 0, partial(_read, path.parent))


def _walk(root: Path) -> Iterator[str]:
    def refuse(error: OSError) -> None:
        raise BonafideError(f"cannot list {error.filename}: {error.strerror}; make it readable") from error

    for folder, _, files in os.walk(root, onerror=refuse):
        below = os.path.relpath(folder, root)
        yield from (file if below == "." else f"{below}{os.sep}{file}" for file in files)


def _entry(root: Path, name: str) -> Entry:
    posix = name.replace(os.sep, "/")
    try:
        status = (root / name).stat()
    except OSError:  # reading it will say why
        return Entry(posix, 0, "")
    return Entry(posix, status.st_size, str(status.st_mtime_ns))


def _read(root: Path, entry: Entry, limit: int) -> bytes:
    path = root / entry.name
    try:
        if path.exists() and not path.is_file():
            raise ImageError("unreadable", "no regular file")
        with path.open("rb") as stream:
            return stream.read(limit)
    except OSError as error:
        raise ImageError("unreadable", error.strerror or "cannot be read") from error

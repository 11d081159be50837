"""Which images a folder, a glob, a file or a bucket holds, always in the same order."""

import glob
import hashlib
import os
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from bonafide.addresses import fixed_part, store_of
from bonafide.errors import BonafideError, ImageError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
SCHEMES = ("gs://", "s3://")
WANTED = "give a folder, a glob, a file, gs:// or s3://"


class Entry(NamedTuple):
    """One file: its path below the input with ``/``, its bytes, and a stamp that changes when it does."""

    name: str
    size: int
    stamp: str


@dataclass(frozen=True)
class Listing:
    """The images to score, sorted by name, and how many other files were passed over.

    ``read(entry, limit)`` returns a file's first ``limit`` bytes. It raises ImageError for a file that is
    gone or may not be read, and BonafideError if nothing can be read any more.
    """

    entries: tuple[Entry, ...]
    skipped: int
    read: Callable[[Entry, int], bytes]

    def digest(self) -> str:
        """A SHA-256 over names, sizes and stamps."""
        digest = hashlib.sha256()
        for entry in self.entries:
            digest.update("\0".join(map(str, entry)).encode(errors="surrogateescape") + b"\0\n")
        return digest.hexdigest()


def listed(where: str) -> Listing:
    """The images that ``where`` stands for.

    Args:
        where: a folder (with all below it), a file, a glob, or ``gs://`` or ``s3://`` and one of these.

    Raises:
        BonafideError: there is no image, it cannot be listed, or a bucket's extra ``batch`` is not installed.
    """
    try:
        found = _bucket(where) if where.startswith(SCHEMES) else _local(where)
    except BonafideError:
        raise
    except ImportError as error:
        raise BonafideError(f"{where} needs the extra batch: pip install 'bonafide[batch]'") from error
    except Exception as error:  # each store's library has its own errors
        raise BonafideError(
            f"cannot list {where}: {error}; check the path, and a bucket's credentials"
        ) from error
    if not found.entries:
        other = f", only {found.skipped} other files" if found.skipped else ""
        raise BonafideError(f"{where} holds no JPEG, PNG or WebP file{other}; {WANTED}")
    return found


def chosen(files: Collection[Entry], read: Callable[[Entry, int], bytes]) -> Listing:
    """The listing of those files that an image's suffix marks."""
    images = sorted(entry for entry in files if entry.name.lower().endswith(SUFFIXES))
    return Listing(tuple(images), len(files) - len(images), read)


def _local(where: str) -> Listing:
    path = Path(where)
    if path.is_dir():
        return chosen([_entry(path, name) for name in _walk(path)], partial(_read, path))
    if path.exists():
        return Listing((_entry(path.parent, path.name),), 0, partial(_read, path.parent))
    if not glob.has_magic(where):
        raise BonafideError(f"{where} is not there; {WANTED}")
    root = Path(fixed_part(where) or path.anchor)
    matches = root.glob(str(path.relative_to(root)))
    names = {str(match.relative_to(root)) for match in matches if not match.is_dir()}
    return chosen([_entry(root, name) for name in names], partial(_read, root))


def _walk(root: Path) -> Iterator[str]:
    for folder, _, files in os.walk(root, onerror=_refuse):
        below = os.path.relpath(folder, root)
        yield from (f"{below}/{file}".removeprefix("./") for file in files)


def _refuse(error: OSError) -> NoReturn:
    raise BonafideError(f"cannot list {error.filename}: {error.strerror}; make it readable") from error


def _entry(root: Path, name: str) -> Entry:
    try:
        status = (root / name).stat()
    except OSError:  # reading it will say why
        return Entry(name, 0, "")
    return Entry(name, status.st_size, str(status.st_mtime_ns))


def _read(root: Path, entry: Entry, limit: int) -> bytes:
    path = root / entry.name
    try:
        if path.exists() and not path.is_file():
            raise ImageError("unreadable", "no regular file")
        with path.open("rb") as stream:
            return stream.read(limit)
    except OSError as error:
        raise ImageError("unreadable", error.strerror or "cannot be read") from error


def _bucket(where: str) -> Listing:
    store, address = store_of(where)
    if glob.has_magic(address) and not store.exists(address):
        found, root = store.glob(address, detail=True), fixed_part(address)
    else:
        found, root = store.find(address, detail=True), address
    if address in found:  # one object
        root = address.rpartition("/")[0]
    files = [
        Entry(path[len(root) + 1 :], about["size"], str(about.get("generation") or about["ETag"]))
        for path, about in found.items()
        if about["type"] == "file"
    ]
    return chosen(files, partial(_fetch, store, root))


def _fetch(store: Any, root: str, entry: Entry, limit: int) -> bytes:
    """No more than was listed, however large the object has become; stores refuse a range of nothing."""
    path = f"{root}/{entry.name}"
    try:
        return store.cat_file(path, start=0, end=min(entry.size, limit)) if entry.size else b""
    except (FileNotFoundError, PermissionError) as error:
        raise ImageError("unreadable", str(error) or "cannot be read") from error
    except Exception as error:  # the store is not reachable any more
        raise BonafideError(f"cannot read {path}: {error}; run the same command again to go on") from error

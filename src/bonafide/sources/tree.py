"""The files below a folder, on disk or in a bucket, always in the same order."""

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from bonafide.addresses import fixed_part, is_in_store, store_of
from bonafide.errors import DataError
from bonafide.files import sha256

GIVEN = {"train": "train", "val": "val", "validation": "val", "test": "test", "holdout": "holdout"}
_SPLIT = re.compile(rf"(?:^|/)(?:partial-)?({'|'.join(GIVEN)})(?=[-_./])")
AGAIN = "check the path, the rights and the network, and run again"


class Tree(NamedTuple):
    """What lies below a folder, without hidden files; a folder that holds none is not seen.

    ``files`` are their names below it, sorted folder by folder. ``read(file, limit)`` returns a file's first
    ``limit`` bytes, or all. ``version(file)`` is a text that changes with its content.
    """

    where: str
    name: str
    files: tuple[str, ...]
    read: Callable[[str, int | None], bytes]
    version: Callable[[str], str]


def find_tree(where: str | Path) -> Tree:
    """The files below ``where``, a folder here or behind ``gs://`` or ``s3://``.

    Raises:
        DataError: it is no folder, or its bucket cannot be reached.
    """
    return _bucket(str(where)) if is_in_store(str(where)) else _local(Path(where))


def find_files(path: str, endings: tuple[str, ...]) -> tuple[Any, list[str], str]:
    """The file system, the files that a path names, and the folder that they lie in.

    It names itself, what lies below it, or what it matches.

    Raises:
        DataError: there is no such file, or it cannot be reached.
    """
    with reaching(path):
        filesystem, where = store_of(path)
        is_folder = filesystem.isdir(where)
        inside = filesystem.find(where) if is_folder else filesystem.glob(where)
        files = sorted(str(file) for file in inside if str(file).endswith(endings))
    if not files:
        raise DataError(
            f"{path} names no {' or '.join(endings)} file; "
            f"give a file, a folder, or a pattern: train-*{endings[0]}"
        )
    return filesystem, files, where if is_folder else fixed_part(where.rpartition("/")[0])


def files_digest(path: str, endings: tuple[str, ...]) -> str:
    """What caching follows: a SHA-256 over the files' names and what their store tells versions apart by.

    Raises:
        DataError: there is no such file, or it cannot be reached.
    """
    filesystem, files, _ = find_files(path, endings)
    with reaching(path):
        versions = [listed_version(filesystem.info(file)) or filesystem.ukey(file) for file in files]
    lines = "".join(f"{version} {file}\n" for version, file in zip(versions, files, strict=True))
    return hashlib.sha256(lines.encode()).hexdigest()


def given_by(file: str) -> str | None:
    """The split in which a file's name or its folders put what it holds; the last of several counts."""
    splits = _SPLIT.findall(file)
    return GIVEN[splits[-1]] if splits else None


@contextmanager
def reaching(where: str) -> Iterator[None]:
    """What a store's client raises becomes a sentence; each has errors of its own."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:
        raise DataError(f"cannot reach {where}: {error}; {AGAIN}") from error


def told(name: str) -> str:
    """A file's name for people and for Parquet, which take UTF-8 only."""
    return os.fsencode(name).decode(errors="replace")


def _by_folder(names: list[str]) -> tuple[str, ...]:
    shown = (name for name in names if not any(part.startswith(".") for part in name.split("/")))
    return tuple(sorted(shown, key=lambda name: name.split("/")))


def _local(root: Path) -> Tree:
    if not root.is_dir():
        raise DataError(f"{root} is no folder; give one with a sub-folder of images for each class")
    return Tree(
        where=str(root),
        name=root.resolve().name,
        files=_by_folder([file.relative_to(root).as_posix() for file in _walk(root)]),
        read=partial(_read_file, root),
        version=partial(_hash_file, root),
    )


def _walk(folder: Path) -> Iterator[Path]:
    """A linked folder is entered where splits and classes are; inside a class it counts as a file."""
    for root, folders, names in os.walk(folder, followlinks=True):
        above = Path(root).relative_to(folder).parts
        entered = not above or (len(above) == 1 and above[0] in GIVEN)
        linked = [] if entered else [name for name in folders if Path(root, name).is_symlink()]
        folders[:] = [name for name in folders if not name.startswith(".") and name not in linked]
        yield from (Path(root, name) for name in (*names, *linked))


def _read_file(root: Path, name: str, limit: int | None = None) -> bytes:
    with _readable(root / name), (root / name).open("rb") as stream:
        return stream.read(-1 if limit is None else limit)


def _hash_file(root: Path, name: str) -> str:
    with _readable(root / name):
        return sha256(root / name)


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror}; make it readable or remove it") from error


def _bucket(where: str) -> Tree:
    with reaching(where):
        store, root = store_of(where)
        root = root.rstrip("/")
        found = {
            path.removeprefix(f"{root}/"): (about["size"], listed_version(about))
            for path, about in store.find(root, detail=True).items()
            if about["type"] == "file" and path.startswith(f"{root}/") and not path.endswith("/")
        }
    if not found:
        raise DataError(f"{where} holds no file; give a folder with one of images for each class")
    return Tree(
        where=where,
        name=root.rpartition("/")[2],
        files=_by_folder(list(found)),
        read=partial(_read_object, store, root, found),
        version=partial(_version, store, root, found),
    )


def listed_version(about: dict[str, Any]) -> str:
    """What a bucket's listing tells an object's versions apart by; empty for other stores."""
    return str(about.get("generation") or about.get("ETag") or "")


def _version(store: Any, root: str, found: dict[str, tuple[int, str]], name: str) -> str:
    """As the listing tells it, because asking for each object again would take long."""
    return found[name][1] or str(store.ukey(f"{root}/{name}"))


def _read_object(
    store: Any, root: str, found: dict[str, tuple[int, str]], name: str, limit: int | None = None
) -> bytes:
    """Stores refuse a range of nothing."""
    size, _ = found[name]
    path = f"{root}/{name}"
    with reaching(store.unstrip_protocol(path)):
        content: bytes = store.cat_file(path, start=0, end=limit) if size else b""
        return content

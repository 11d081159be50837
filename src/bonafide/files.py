"""Writes that are whole or absent, and content digests."""

import errno
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bonafide.errors import BonafideError


def sha256(path: Path) -> str:
    """The hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def folder_digest(folder: Path, paths: Iterable[Path] | None = None) -> str:
    """The SHA-256 of the lines that ``sha256sum`` prints for the files in ``folder``, sorted by name.

    Args:
        paths: the files that count; all by default.
    """
    counted = paths if paths is not None else (path for path in folder.rglob("*") if path.is_file())
    named = sorted((path.relative_to(folder).as_posix(), path) for path in counted)
    lines = "".join(f"{sha256(path)}  {name}\n" for name, path in named)
    return hashlib.sha256(lines.encode()).hexdigest()


# What gcsfuse says of a folder with files in it, and what other file systems say of none being renamed.
NO_RENAME = (errno.EMFILE, errno.ENOTSUP, errno.ENOSYS, errno.EXDEV)


@contextmanager
def lock(path: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock file ``path`` against other processes and threads of this machine; wait while it is held.

    The end of a process releases it, a kill too.

    Args:
        waiting: called if it is held.

    Raises:
        BonafideError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = path.open("ab")
    except OSError as error:
        raise _refused(path, error) from error
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def write_bytes(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Replace ``path`` in one step; a killed or failed write leaves the old content.

    Raises:
        BonafideError: the file cannot be written (a full disk, say).
    """
    partial = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        partial = Path(name)
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        partial.chmod(mode)
        partial.replace(path)
    except OSError as error:
        if partial:
            partial.unlink(missing_ok=True)
        raise _refused(path, error) from error


def copy(source: Path, target: Path) -> None:
    """Put a copy of ``source`` at ``target`` in one step.

    Raises:
        BonafideError: the file cannot be written.
    """
    partial = target.with_name(f".{target.name}.copy")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, partial)
        partial.replace(target)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise _refused(target, error) from error


def write_text(path: Path, content: str) -> None:
    """:func:`write_bytes` for UTF-8 text."""
    write_bytes(path, content.encode())


def write_json(path: Path, content: Any) -> None:
    """:func:`write_bytes` for JSON with stable key order as given."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


@contextmanager
def new_folder(target: Path, identity: str) -> Iterator[Path]:
    """Fill a folder that appears at ``target`` whole, replacing an earlier one of its kind, or not at all.

    Args:
        identity: a file that folders of this kind hold; what stands at ``target`` without it is not ours to
            replace.

    Raises:
        BonafideError: ``target`` holds something else, or the disk refused a write.
    """
    target = target.resolve()
    _refuse_foreign(target, identity)
    partial = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
        yield partial
        partial.chmod(0o755)
        _replace(target, partial, identity)
    except OSError as error:
        if error.errno is None:
            raise
        raise _refused(target, error) from error
    finally:
        if partial:
            shutil.rmtree(partial, ignore_errors=True)


def _refuse_foreign(target: Path, identity: str) -> None:
    if target.is_file() or (target.is_dir() and any(target.iterdir()) and not (target / identity).exists()):
        raise BonafideError(
            f"{target} is there and holds no {identity}, so it is not replaced; name another folder"
        )


def _replace(target: Path, made: Path, identity: str) -> None:
    """A kill between the two renames leaves no folder rather than half of one.

    A bucket behind gcsfuse renames no folders: there files are copied, the one that makes a folder ours last.
    """
    before = made.with_name(f"{made.name}.before")
    try:
        if target.exists():
            target.rename(before)
        made.rename(target)
    except OSError as error:
        if error.errno not in NO_RENAME:
            raise
        _copy_over(target, made, identity)
    shutil.rmtree(before, ignore_errors=True)


def _copy_over(target: Path, made: Path, identity: str) -> None:
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(made, target, ignore=shutil.ignore_patterns(identity), copy_function=shutil.copyfile)
    shutil.copyfile(made / identity, target / identity)


def _refused(path: Path, error: OSError) -> BonafideError:
    return BonafideError(f"cannot write {path}: {error.strerror}; make room or mend it, and run again")

"""Writes that are whole or absent, and content digests."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bonafide.errors import BonafideError


def sha256(path: Path) -> str:
    """The hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_bytes(path: Path, content: bytes) -> None:
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
        partial.chmod(0o644)
        partial.replace(path)
    except OSError as error:
        if partial:
            partial.unlink(missing_ok=True)
        raise _refused(path, error) from error


def write_text(path: Path, content: str) -> None:
    """:func:`write_bytes` for UTF-8 text."""
    write_bytes(path, content.encode())


def write_json(path: Path, content: Any) -> None:
    """:func:`write_bytes` for JSON with stable key order as given."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Fill a folder that appears at ``target`` whole, replacing what was there, or not at all.

    Raises:
        BonafideError: the disk refused a write.
    """
    partial = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
        yield partial
        partial.chmod(0o755)
        if target.exists():
            shutil.rmtree(target)
        partial.rename(target)
    except OSError as error:
        if error.errno is None:
            raise
        raise _refused(target, error) from error
    finally:
        if partial:
            shutil.rmtree(partial, ignore_errors=True)


def _refused(path: Path, error: OSError) -> BonafideError:
    return BonafideError(f"cannot write {path}: {error.strerror}; make room or mend it, and run again")

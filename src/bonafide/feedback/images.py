"""Copies of images, by the SHA-256 of their bytes, in a folder or in a bucket."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from bonafide.addresses import is_in_store, store_of
from bonafide.errors import BonafideError, ConfigError
from bonafide.files import write_bytes


class Images:
    """A place for images; what has the same bytes is kept once.

    Args:
        place: a folder, or an address behind gs:// or s3://.

    Raises:
        ConfigError: the client of that bucket is not installed.
    """

    def __init__(self, place: str) -> None:
        self._place = place.rstrip("/") if is_in_store(place) else str(Path(place).resolve())
        self._bucket: Any = None
        if is_in_store(place):
            try:
                self._bucket, _ = store_of(place)
            except ImportError as error:
                raise ConfigError(f"{place}: {error}; pip install 'bonafide[batch]'") from error

    def address(self, sha256: str) -> str:
        """Where the copy of that file is, or will be."""
        return f"{self._place}/{sha256[:2]}/{sha256}"

    def save(self, sha256: str, content: bytes) -> None:
        """Keep a copy.

        Raises:
            BonafideError: it cannot be written.
        """
        address = self.address(sha256)
        if self._bucket is None:
            _write(Path(address), content)
            return
        try:
            self._bucket.pipe_file(address, content)
        except Exception as error:  # each store's client has its own
            raise BonafideError(f"cannot write {address}: {error}") from error


def read(address: str) -> bytes | None:
    """The image at an address; None where there is none, as after a kill before it was written.

    Raises:
        BonafideError: it cannot be read.
    """
    try:
        if not is_in_store(address):
            return Path(address).read_bytes()
        bucket, path = store_of(address)
        content: bytes = bucket.cat_file(path)
    except FileNotFoundError:
        return None
    except Exception as error:  # as above
        raise BonafideError(f"cannot read {address}: {error}") from error
    return content


def remove(address: str, rest: float = 0) -> bool:
    """Delete the image at an address, if it is there and was not saved within the last ``rest`` seconds.

    Returns:
        whether there is none now.

    Raises:
        BonafideError: it cannot be deleted.
    """
    try:
        with suppress(FileNotFoundError):
            saved, delete = _found(address)
            if time.time() - saved < rest:
                return False
            delete()
    except Exception as error:  # as above
        raise BonafideError(f"cannot delete {address}: {error}") from error
    return True


def _found(address: str) -> tuple[float, Callable[[], None]]:
    """When an image was saved last, and what deletes it."""
    if is_in_store(address):
        bucket, path = store_of(address)
        return bucket.modified(path).timestamp(), lambda: bucket.rm_file(path)
    file = Path(address)
    return file.stat().st_mtime, file.unlink


def _write(path: Path, content: bytes) -> None:
    """What is there is touched, so that who forgets sees that it is wanted."""
    try:
        os.utime(path)
    except FileNotFoundError:
        write_bytes(path, content, mode=0o600)
    except OSError as error:
        raise BonafideError(f"cannot write {path}: {error.strerror}") from error

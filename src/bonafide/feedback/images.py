"""Copies of images, by the SHA-256 of their bytes, in a folder or in a bucket."""

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
        try:
            if self._bucket is not None:
                self._bucket.pipe_file(address, content)
            elif not Path(address).exists():
                write_bytes(Path(address), content, mode=0o600)
        except BonafideError:
            raise
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


def remove(address: str) -> None:
    """Delete the image at an address, if it is there.

    Raises:
        BonafideError: it cannot be deleted.
    """
    try:
        with suppress(FileNotFoundError):
            if is_in_store(address):
                bucket, path = store_of(address)
                bucket.rm_file(path)
            else:
                Path(address).unlink()
    except Exception as error:  # as above
        raise BonafideError(f"cannot delete {address}: {error}") from error

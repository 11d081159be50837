"""Images in Google Cloud Storage and S3; credentials and endpoints are as gcsfs and s3fs find them."""

import glob
from typing import Any

from bonafide.batch.entries import Entry, Listing, chosen, fixed_part
from bonafide.errors import BonafideError, ImageError

SCHEMES = ("gs://", "s3://")
STAMPS = ("generation", "ETag")  # of gcsfs and of s3fs


def listed_bucket(where: str) -> Listing:
    """The images below a ``gs://`` or ``s3://`` address, or that match it as a glob.

    Raises:
        BonafideError: the extra ``batch`` is not installed, or the store refuses; says what it said.
    """
    store, address = _open(where)
    try:
        if glob.has_magic(address) and not store.exists(address):
            found, root = store.glob(address, detail=True), fixed_part(address)
        else:
            found, root = store.find(address, detail=True), address
    except Exception as error:  # each store's library has its own errors
        raise BonafideError(f"cannot list {where}: {error}; check the address and the credentials") from error
    if address in found:  # one object
        root = address.rpartition("/")[0]
    files = {path[len(root) + 1 :]: about for path, about in found.items() if about["type"] == "file"}

    def read(entry: Entry, limit: int) -> bytes:
        return _read(store, f"{root}/{entry.name}", entry.size, limit)

    return chosen((_entry(name, about) for name, about in files.items()), read)


def _open(where: str) -> tuple[Any, str]:
    try:
        from fsspec.core import url_to_fs

        store, address = url_to_fs(where, skip_instance_cache=True, use_listings_cache=False)
    except ImportError as error:
        raise BonafideError(f"{where} needs the extra batch: pip install 'bonafide[batch]'") from error
    except Exception as error:  # credentials that do not hold
        raise BonafideError(f"cannot open {where}: {error}; check the credentials") from error
    return store, address


def _entry(name: str, about: dict[str, Any]) -> Entry:
    return Entry(name, about["size"], next(str(about[key]) for key in STAMPS if key in about))


def _read(store: Any, path: str, size: int, limit: int) -> bytes:
    """No more than was listed, however large the object has become; stores refuse a range of nothing."""
    try:
        return store.cat_file(path, start=0, end=min(size, limit)) if size else b""
    except (FileNotFoundError, PermissionError) as error:
        raise ImageError("unreadable", str(error) or "cannot be read") from error
    except Exception as error:  # the store is not reachable any more
        raise BonafideError(f"cannot read {path}: {error}; run the same command again to go on") from error

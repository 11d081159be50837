"""What addresses lead to: this machine, or a store of files, which may be a bucket."""

import glob
import ipaddress
from itertools import takewhile
from typing import Any


def is_loopback(host: str | None) -> bool:
    """Whether a host is this machine, which nobody listens in on."""
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return host == "localhost"


def is_in_store(path: str) -> bool:
    """Whether a path names a store, and no place on this machine."""
    return "://" in path


def store_of(address: str) -> tuple[Any, str]:
    """The client of a store, which keeps no listing, and the path there.

    Credentials and endpoints are as gcsfs and s3fs find them.
    """
    from fsspec.core import url_to_fs

    store, path = url_to_fs(address, skip_instance_cache=True, use_listings_cache=False)
    return store, path


def fixed_part(pattern: str) -> str:
    """The folders of a glob up to the first wildcard."""
    return "/".join(takewhile(lambda part: not glob.has_magic(part), pattern.split("/")))

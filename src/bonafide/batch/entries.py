"""What a listing of images is, wherever they lie."""

import glob
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import takewhile
from typing import NamedTuple

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


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


def chosen(files: Iterable[Entry], read: Callable[[Entry, int], bytes]) -> Listing:
    """The listing of those files that an image's suffix marks."""
    images, skipped = [], 0
    for entry in files:
        if entry.name.lower().endswith(SUFFIXES):
            images.append(entry)
        else:
            skipped += 1
    return Listing(tuple(sorted(images)), skipped, read)


def fixed_part(pattern: str) -> str:
    """The folders of a glob up to the first wildcard."""
    return "/".join(takewhile(lambda part: not glob.has_magic(part), pattern.split("/")))

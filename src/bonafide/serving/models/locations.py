"""Where packages to serve are found, and how to see cheaply that one has changed."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from bonafide.model.package import INFO, SIGNATURE, SUMS

Source = Callable[[], Mapping[str, Path]]
"""Says which packages there are, by version, the best first; an empty version is the model's own digest."""

MOST_LINKS = 40

Stamp = tuple[object, ...]


def folder(location: Path, version: str) -> Source:
    """The package in a folder, or the packages in its sub-folders, named by version.

    Versions are ordered as people do, 10 after 9. Hidden sub-folders and those without ``package.json`` are
    none. Whether it is one package or several is decided here, once.

    Args:
        location: may be a link that is pointed elsewhere later.
        version: of a single package.
    """

    def versions() -> dict[str, Path]:
        found = [path for path in location.iterdir() if path.name[0] != "." and (path / INFO).is_file()]
        return {path.name: _followed(path) for path in sorted(found, key=_natural, reverse=True)}

    if location.is_dir() and not (location / INFO).exists() and versions():
        return versions
    return lambda: {version: _followed(location)}


def stamp(package: Path) -> Stamp:
    """Sizes and times of the files in a folder, and what they should hold; empty while it cannot be read."""
    try:
        files = sorted(path for path in package.rglob("*") if path.is_file())
        states = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
        names = [path for path in (package / SUMS, package / SIGNATURE) if path in files]
        return *states, *(path.read_bytes() for path in names)
    except OSError:
        return ()


def _followed(path: Path) -> Path:
    """Where a link leads, so that one package is read throughout; signatures do not hold for links.

    ``Path.resolve`` would also follow ``/proc/…/root``, the way to models in an OCI image, and lose itself.
    """
    for _ in range(MOST_LINKS):
        if not path.is_symlink():
            break
        path = path.parent / path.readlink()
    return path


def _natural(path: Path) -> tuple[list[str | int], str]:
    parts = re.split(r"([0-9]+)", path.name)
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], path.name

"""The packages of versions lie at an address made from their content, written once; fetched when wanted."""

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse
from urllib.request import url2pathname

from bonafide.errors import DeliveryError
from bonafide.files import folder_digest, lock, new_folder
from bonafide.home import OCI, home
from bonafide.model.package import INFO
from bonafide.registry.tracking import answering, tracking_uri

if TYPE_CHECKING:
    from bonafide.registry.versions import Version

CACHE_BYTES = 4 * 2**30
IN_USE_SECONDS = 3600
PINNED = re.compile(r"@sha256:[0-9a-f]{64}\Z")


def local(uri: str) -> Path | None:
    """The folder that an address names on this machine, or None if it is elsewhere."""
    parts = urlparse(uri)
    return Path(url2pathname(parts.path)) if parts.scheme in ("", "file") else None


@answering()
def put(package: Path, uri: str) -> str:
    """Write a package to the address that its content gives it, or finish what a killed run began.

    A file that is there already is not written again; all are read back and compared.

    Returns:
        the address: ``uri``, for a container registry with the digest of the image.

    Raises:
        DeliveryError: the address holds other bytes.
    """
    if uri.startswith(OCI):
        from bonafide.registry import oci

        return oci.push(package, uri)
    if folder := local(uri):
        if not folder.exists():
            with new_folder(folder, INFO) as made:
                shutil.copytree(package, made, dirs_exist_ok=True, copy_function=shutil.copyfile)
        _refuse_other(package, folder, uri)
        return uri
    store = _store(uri)
    there = set(_names(store))
    for path in package.rglob("*"):
        name = path.relative_to(package)
        if path.is_file() and name.as_posix() not in there:
            parent = name.parent.as_posix()
            store.log_artifact(str(path), None if parent == "." else parent)
    with tempfile.TemporaryDirectory() as scratch:
        store.download_artifacts("", scratch)
        _refuse_other(package, Path(scratch), uri)
    return uri


def fetch(version: "Version") -> Path:
    """The folder of a version's package: where it lies, or a copy in the cache of this machine.

    A copy is whole or absent. Copies that were not asked for in the last hour are removed, the longest unused
    first, while all together are larger than ``CACHE_BYTES``.

    Raises:
        DeliveryError: the package is not there, or what arrived is not what was registered.
    """
    if folder := local(version.uri):
        if not folder.is_dir():
            raise DeliveryError(f"{folder}, the package of {version.task} version {version.number}, is gone")
        return folder
    digest = version.tags.get("package_digest", "")
    if not re.fullmatch("[0-9a-f]{64}", digest):
        raise DeliveryError(
            f"version {version.number} of {version.task} has no package digest but {digest!r}; "
            "register its package again"
        )
    with lock(_cache() / ".lock"):
        found = _download(version.uri, digest)
        os.utime(found)
        _make_room()
    return found


def opponent(task: str, number: str) -> tuple[str, Path] | None:
    """Number and package of the version that a challenger is compared with, or None if no number is given."""
    from bonafide.registry.versions import get

    return (number, fetch(get(task, number))) if number else None


def _download(uri: str, digest: str) -> Path:
    """The package in the cache; the lock is held."""
    target = _cache() / digest
    if target.is_dir() and folder_digest(target) == digest:
        return target
    with answering(), new_folder(target, INFO) as folder:
        _bring(uri, folder)
        if (arrived := folder_digest(folder)) != digest:
            raise DeliveryError(f"{uri} does not hold the package {digest[:12]} but {arrived[:12]}")
    return target


def _bring(uri: str, folder: Path) -> None:
    if uri.startswith(OCI):
        from bonafide.registry import oci

        oci.pull(uri, folder)
    else:
        _store(uri).download_artifacts("", str(folder))


def _make_room() -> None:
    """Hidden folders are what killed downloads left, because the lock is held."""
    for path in _cache().glob(".*/"):
        shutil.rmtree(path)
    copies = sorted(_cache().glob("*/"), key=lambda path: path.stat().st_mtime)
    total = sum(map(_size, copies))
    for path in copies:
        if total <= CACHE_BYTES or time.time() - path.stat().st_mtime < IN_USE_SECONDS:
            return
        total -= _size(path)
        shutil.rmtree(path)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _cache() -> Path:
    return home() / "packages"


def _refuse_other(package: Path, there: Path, uri: str) -> None:
    if folder_digest(there) != folder_digest(package):
        raise DeliveryError(f"{uri} holds other bytes than {package}; find out who did it, and remove them")


def _names(store: Any, folder: str | None = None) -> Iterator[str]:
    for entry in store.list_artifacts(folder):
        if entry.is_dir:
            yield from _names(store, entry.path)
        else:
            yield entry.path


def _store(uri: str) -> Any:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    return get_artifact_repository(uri, tracking_uri())

"""The model package: a signed folder with everything needed to serve a model, and no pickle.

``package.json``, ``model.onnx`` and what the training run adds (model card, gate verdict, drift reference)
stand beside ``SHA256SUMS``, which ``sha256sum -c`` reads, and ``signature``, a Sigstore bundle over the rest.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import Field

from bonafide.config import parse
from bonafide.errors import ConfigError, PackageError
from bonafide.files import new_folder, sha256, write_json, write_text
from bonafide.model import signing
from bonafide.model.info import MODEL, ModelInfo

FORMAT_VERSION: Literal[2] = 2
INFO, SUMS, SIGNATURE, REFERENCE = "package.json", "SHA256SUMS", "signature", "reference.npz"
STATISTIC = "statistics."  # of the names of images' statistics among the reference's arrays


class PackageInfo(ModelInfo):
    """``package.json``: what a server must know about the model, and where the model comes from.

    ``model_digest`` is filled in by :func:`build`; ``created`` is ISO UTC.
    """

    format_version: Literal[2] = FORMAT_VERSION
    task: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
    metrics: dict[str, Any]
    code_version: str
    created: str


def build(out: Path, info: PackageInfo, files: Mapping[str, Path | bytes], key: str | Path) -> PackageInfo:
    """Write the package to ``out``, whole or not at all, and sign it with the private ``key``.

    Args:
        files: name in the package to content; ``model.onnx`` must be among them.
        key: as :func:`bonafide.model.signing.sign` takes it.

    Returns:
        ``info`` with the digest of the model.

    Raises:
        PackageError: a name is reserved or leads outside, ``model.onnx`` is missing, or the key is unusable.
    """
    _check_names(files)
    with new_folder(out, INFO) as folder:
        for name, content in files.items():
            _place(folder / name, content)
        info = info.model_copy(update={"model_digest": sha256(folder / MODEL)})
        write_json(folder / INFO, info.model_dump(mode="json"))
        digests = ((name, sha256(folder / name)) for name in sorted([*files, INFO]))
        write_text(folder / SUMS, "".join(f"{digest}  {name}\n" for name, digest in digests))
        signing.sign(folder, key, folder / SIGNATURE)
    return info


def verify(package: Path, public_key: Path) -> PackageInfo:
    """Check completeness and checksums, then the signature, then what ``package.json`` says.

    Args:
        public_key: a PEM file, or a folder whose ``*.pub`` files are all trusted.

    Raises:
        PackageError: names the file that is missing, extra, changed, unreadable, a link or outside; or says
            that the signature does not hold or that this version cannot read the format.
    """
    if not package.is_dir():
        raise PackageError(f"{package} is no model package: give the folder that holds {INFO} and {MODEL}")
    try:
        _check_sums(package)
    except OSError as error:
        raise PackageError(
            f"cannot read {error.filename}: {error.strerror}; make the package readable"
        ) from error
    signing.check(package, package / SIGNATURE, public_key)
    info = _read_info(package / INFO)
    if sha256(package / MODEL) != info.model_digest:
        raise PackageError(f"{package / MODEL} is not the model that {INFO} names; build the package again")
    return info


def _check_names(files: Mapping[str, Path | bytes]) -> None:
    if MODEL not in files:
        raise PackageError(f"a package needs {MODEL} among its files; got {sorted(files) or 'none'}")
    for name in files:
        if name in (INFO, SUMS, SIGNATURE):
            raise PackageError(f"{name} is written by the package itself; leave it out of the files")
        if not _is_inside(name):
            raise PackageError(f"{name!r} is no name inside a package; use a relative path without '..'")


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    plain = path.as_posix() == name and not path.is_absolute() and ".." not in path.parts
    return plain and name != "." and name.isprintable() and "\\" not in name


def _place(path: Path, content: Path | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content.is_file():
        shutil.copyfile(content, path)
    else:
        raise PackageError(f"{content}, meant for {path.name} in the package, is no file")


def _check_sums(package: Path) -> None:
    sums = _read_sums(package)
    present = _list(package)
    again = "fetch or build the package again"
    for name in (SIGNATURE, INFO, MODEL, *sums):
        if name not in present:
            raise PackageError(f"{package / name} is missing; {again}")
    for name in sorted(present - {SUMS, SIGNATURE}):
        if name not in sums:
            raise PackageError(f"{package / name} does not belong to the package; remove it or {again}")
        if sha256(package / name) != sums[name]:
            raise PackageError(
                f"{package / name} was changed after signing: its checksum does not hold; {again}"
            )


def _read_sums(package: Path) -> dict[str, str]:
    path = package / SUMS
    if path.is_symlink() or not path.is_file():
        raise PackageError(f"{path} is missing or a link; fetch or build the package again")
    sums = {}
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        digest, separator, name = line.partition("  ")
        if not separator or len(digest) != 64 or not _is_inside(name):
            raise PackageError(
                f"{path}, line {number}: not '<sha256>  <path inside the package>': {line[:120]!r}"
            )
        sums[name] = digest
    return sums


def _list(package: Path) -> set[str]:
    names = set()
    for path in package.rglob("*"):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise PackageError(f"{path} is a link or a special file; a package holds plain files only")
        if path.is_file():
            names.add(path.relative_to(package).as_posix())
    return names


def _read_info(path: Path) -> PackageInfo:
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise PackageError(f"{path} is no valid JSON: {error}; build the package again") from error
    version = content.get("format_version") if isinstance(content, dict) else None
    if version != FORMAT_VERSION:
        raise PackageError(
            f"{path}: format version {version!r}, this Bonafide reads {FORMAT_VERSION}; "
            "install the version that built the package, or build it again"
        )
    try:
        return parse(PackageInfo, content, where=str(path))
    except ConfigError as error:
        raise PackageError(f"{error}; build the package again") from None

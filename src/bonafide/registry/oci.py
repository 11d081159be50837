"""Packages as images in a container registry, for Kubernetes to mount: one layer with the files in /models.

The same package gives the same bytes, so that its address is made from its content: there are no times and no
owners, and no compression, whose result differs between versions of zlib.
"""

import json
import os
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Annotated, Any
from urllib.parse import urljoin, urlsplit

from oras.auth import get_auth_backend
from oras.provider import Registry
from pydantic import BaseModel, Field, ValidationError
from requests import RequestException
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from bonafide.addresses import is_loopback
from bonafide.errors import DeliveryError
from bonafide.files import folder_digest, sha256, write_json
from bonafide.registry.packages import CACHE_BYTES, PINNED

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
ROOT = "models"
PLATFORM = {"architecture": "amd64", "os": "linux"}
LARGEST_MANIFEST = CHUNK = 2**20
TIMEOUT_SECONDS = (5, 60)
RETRY = Retry(3, backoff_factor=0.5, status_forcelist=(502, 503, 504), raise_on_status=False)
LOG_IN = "log in as for Docker, whose config.json is in ~/.docker or in the folder that DOCKER_CONFIG names"


class _Blob(BaseModel):
    digest: Annotated[str, Field(pattern="^sha256:[0-9a-f]{64}$")]
    size: Annotated[int, Field(le=CACHE_BYTES)]


class _Image(BaseModel):
    config: _Blob
    layers: tuple[_Blob]


def push(package: Path, repository: str) -> str:
    """Put a package into a repository, or finish what a killed run began, and read it back.

    Returns:
        the image's address, which ends in its digest.

    Raises:
        DeliveryError: the registry is away, refuses, or holds other bytes; as everywhere here.
    """
    with _asking(f"{repository}:{folder_digest(package)}") as (client, image), _scratch() as scratch:
        manifest, *blobs = _make(package, scratch)
        for path, kind in zip(blobs, (CONFIG, LAYER), strict=True):
            client.upload_blob(str(path), image, _descriptor(path, kind))
        digest, tagged = _digest(manifest), f"{client.prefix}://{image.manifest_url()}"
        there = client.do_request(tagged, "HEAD", headers={"Accept": MANIFEST})
        if there.headers.get("Docker-Content-Digest") != digest:
            client.do_request(tagged, "PUT", data=manifest.read_bytes(), headers={"Content-Type": MANIFEST})
        address = f"{repository}@{digest}"
        _read(address, scratch)
    return address


def pull(address: str, folder: Path) -> None:
    """Write the files of an image's package into ``folder``.

    Raises:
        DeliveryError: the address names no digest, or the image is none of a package.
    """
    with _scratch() as scratch:
        layer = _read(address, scratch)
        try:
            _unpack(layer, folder)
        except (tarfile.TarError, ValueError) as error:
            raise DeliveryError(f"{address} is no image of a package: {error}") from error


def check(repository: str) -> None:
    """Begin an upload and give it up; then push a probe, which is the same each time, and read it back."""
    with _asking(repository) as (client, image), _scratch() as scratch:
        url = f"{client.prefix}://{image.upload_blob_url()}"
        begun = urljoin(url, client.do_request(url, "POST").headers.get("Location", ""))
        with suppress(DeliveryError):  # the registry forgets it anyway
            client.do_request(begun, "DELETE")
        (scratch / "probe.txt").write_text("written by `bonafide doctor`\n")
        push(scratch, repository)


def _make(package: Path, scratch: Path) -> tuple[Path, Path, Path]:
    """The manifest of the package's image, its config and its layer."""
    manifest, config, layer = (scratch / name for name in ("manifest.json", "config.json", "layer.tar"))
    with tarfile.open(layer, "w") as tar:
        for path in (package, *sorted(package.rglob("*"))):
            member = tarfile.TarInfo(PurePosixPath(ROOT, path.relative_to(package)).as_posix())
            if path.is_dir():
                member.type, member.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(member)
            else:
                member.size = path.stat().st_size
                with path.open("rb") as stream:
                    tar.addfile(member, stream)
    write_json(config, {**PLATFORM, "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]}})
    parts = {"config": _descriptor(config, CONFIG), "layers": [_descriptor(layer, LAYER)]}
    write_json(manifest, {"schemaVersion": 2, "mediaType": MANIFEST, **parts})
    return manifest, config, layer


def _unpack(layer: Path, folder: Path) -> None:
    """Regular files within the root, and nothing else."""
    with tarfile.open(layer, "r:") as tar:
        tar.extraction_filter = getattr(tarfile, "data_filter", None)  # not before Python 3.11.4
        for member in tar:
            top, *names = PurePosixPath(member.name).parts
            file = names and member.isreg() and not member.issparse()
            if top != ROOT or ".." in names or not (file or member.isdir()):
                raise ValueError(f"{member.name!r} is no file within {ROOT}/")
            if file:
                member.name = "/".join(names)
                tar.extract(member, folder, set_attrs=False)


def _read(address: str, folder: Path) -> Path:
    """The image's layer, downloaded into ``folder``; manifest and blobs hold what their digests say."""
    with _asking(address) as (client, image):
        if not PINNED.search(address):
            raise DeliveryError(f"{address} names no digest, so it can change; register the package again")
        url = f"{client.prefix}://{image.manifest_url()}"
        answer = client.do_request(url, headers={"Accept": MANIFEST}, stream=True)
        manifest = _save(answer, image.digest, LARGEST_MANIFEST, folder)
        try:
            parts = _Image.model_validate_json(manifest.read_bytes())
        except ValidationError as error:
            reason = error.errors()[0]["msg"]
            raise DeliveryError(f"{address} is no image of a package: {reason}") from error
        for blob in (parts.config, *parts.layers):
            saved = _save(client.get_blob(image, blob.digest, stream=True), blob.digest, blob.size, folder)
        return saved


def _save(answer: Any, digest: str, size: int, folder: Path) -> Path:
    path = folder / digest
    with answer, path.open("wb") as stream:
        for chunk in answer.iter_content(CHUNK):
            if stream.tell() + len(chunk) > size:
                break
            stream.write(chunk)
    if _digest(path) != digest:
        raise DeliveryError(f"{answer.url} holds other bytes; find out who did it, and remove them")
    return path


@contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@contextmanager
def _asking(address: str) -> Iterator[tuple[Any, Any]]:
    """oras's client and its name of the image; the client's failures are told as sentences."""
    host, name = urlsplit(address).netloc, address.partition("://")[2]
    try:
        client = Registry(host, insecure=is_loopback(urlsplit(address).hostname))
        image = client.get_container(name)
        client.session.mount(f"{client.prefix}://", HTTPAdapter(max_retries=RETRY))
        client.session.request = partial(client.session.request, timeout=TIMEOUT_SECONDS)
        client.do_request = partial(_ask, client)
        _log_in(client, image)
        yield client, image
    except RequestException as error:
        raise DeliveryError(f"the container registry {host} does not answer: {error}") from error
    except ValueError as error:  # of oras, which got no token, or of Docker's file
        raise DeliveryError(f"the container registry {host} refuses: {error}; {LOG_IN}") from error


def _log_in(client: Any, image: Any) -> None:
    """By a password if the registry asks for it, else by tokens."""
    asked = client.session.get(f"{client.prefix}://{image.registry}/v2/").headers.get("WWW-Authenticate", "")
    basic = asked.lower().startswith("basic")
    if basic:
        client.auth = get_auth_backend("basic", client.session)
        client.auth.set_basic_auth("", "")  # for the registry to refuse
    if folder := os.environ.get("DOCKER_CONFIG"):  # takes the place of the one at home
        client.auth._auth_config = _logins(Path(folder, "config.json"))
    client.auth.load_configs(image)
    if basic:
        client.headers.update(client.auth.get_auth_header())


def _logins(file: Path) -> dict[str, Any]:
    kept = json.loads(file.read_bytes()) if file.is_file() else {}
    return {name: kept.get(name, {}) for name in ("auths", "credsStore", "credHelpers")}


def _ask(client: Any, url: str, method: str = "GET", **more: Any) -> Any:
    """Ask once, where oras would try for two minutes; a token that is too old or too weak is replaced."""
    place = urlsplit(url)
    if (place.scheme, place.netloc) != (client.prefix, client.hostname):  # where a Location leads
        raise DeliveryError(
            f"the container registry {client.hostname} sends us to {place.scheme}://{place.netloc}; only the "
            "registry itself gets what is pushed and the login, so let it give its own address"
        )
    once = partial(Registry.do_request.__wrapped__, client, url, method)
    answer = once(**more)
    if answer.status_code == 401 and getattr(client.auth, "token", None):
        client.auth.token = None
        answer = once(**more)
    if answer.ok or (method == "HEAD" and answer.status_code == 404):
        return answer
    reason = f"answers {method} {place.path} with {answer.status_code} {answer.reason}"
    hint = f"; {LOG_IN}" if answer.status_code in (401, 403) else ""
    raise DeliveryError(f"the container registry {place.netloc} {reason}{hint}")


def _descriptor(path: Path, kind: str) -> dict[str, Any]:
    return {"mediaType": kind, "digest": _digest(path), "size": path.stat().st_size}


def _digest(path: Path) -> str:
    return f"sha256:{sha256(path)}"

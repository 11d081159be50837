"""Debian's docker-registry, the reference implementation, open or behind a password or tokens."""

import base64
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError, URLError
from urllib.parse import parse_qs, urlsplit
from urllib.request import urlopen

import jwt
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.http_server import Handler, serving

USER, PASSWORD = "bonafide", "hush-hush"
BASIC = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
HASHED = "$2y$05$dw4K.G99D0zmng6od5oSKeKIJDdXkVxnc3CoCVoJuZNbG6TnkjOpm"  # by htpasswd -B


class ContainerRegistry(NamedTuple):
    """``place`` is the address of a repository; ``root`` is where the registry keeps its files."""

    place: str
    root: Path
    log: Path

    @property
    def host(self) -> str:
        return self.place.split("/")[2]

    def stored(self, digest: str) -> Path:
        """The file of a blob or a manifest."""
        hexadecimal = digest.removeprefix("sha256:")
        return self.root / f"docker/registry/v2/blobs/sha256/{hexadecimal[:2]}/{hexadecimal}/data"


@contextmanager
def running(folder: Path, port: int = 0, **settings: object) -> Iterator[ContainerRegistry]:
    """Serve ``folder/root``, with further settings of the registry's own file."""
    if not shutil.which("docker-registry"):
        pytest.skip("docker-registry is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", port))
        address = "{}:{}".format(*free.getsockname())
    config = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(folder / "root")}},
        "http": {"addr": address},
        **settings,
    }
    (folder / "config.yml").write_text(yaml.safe_dump(config))
    with (folder / "log").open("a") as log:
        process = subprocess.Popen(
            ["docker-registry", "serve", folder / "config.yml"], stdout=log, stderr=log
        )
        try:
            while not answers(f"http://{address}/v2/"):
                assert process.poll() is None, (folder / "log").read_text()
                time.sleep(0.05)
            yield ContainerRegistry(f"oci://{address}/team/models", folder / "root", folder / "log")
        finally:
            process.terminate()
            process.wait()


def answers(url: str) -> bool:
    try:
        return bool(urlopen(url))
    except HTTPError:
        return True
    except (URLError, OSError):
        return False


def behind_password(folder: Path) -> dict[str, object]:
    """The settings of a registry that lets in who knows the password."""
    (folder / "passwords").write_text(f"{USER}:{HASHED}\n")
    return {"auth": {"htpasswd": {"realm": "models", "path": str(folder / "passwords")}}}


@contextmanager
def behind_tokens(folder: Path) -> Iterator[tuple[dict[str, object], list[str]]]:
    """The settings of a registry that lets in who has a token for what he does, and which were asked for.

    Tokens are given to who knows the password, by a server of ours.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = self_signed(key)
    (folder / "issuer.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    chain = [base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()]
    asked: list[str] = []

    class Tokens(Handler):
        def answer(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            asked.extend(query.get("scope", []))
            known = self.headers.get("Authorization") == f"Basic {BASIC}"
            body = json.dumps({"token": token(query.get("scope", []))} if known else {}).encode()
            self.reply(200 if known else 401, {}, body)

    def token(scopes: list[str]) -> str:
        rights = [scope.split(":") for scope in scopes]
        access = [{"type": kind, "name": name, "actions": may.split(",")} for kind, name, may in rights]
        now = int(time.time())
        times = {"iat": now, "nbf": now - 10, "exp": now + 300}
        claims = {"iss": "tests", "sub": USER, "aud": "registry", "jti": "1", "access": access, **times}
        return jwt.encode(claims, key, "ES256", headers={"x5c": chain})

    with serving(Tokens) as url:
        issuer = {"issuer": "tests", "service": "registry", "rootcertbundle": str(folder / "issuer.pem")}
        yield {"auth": {"token": {"realm": f"{url}/token", **issuer}}}, asked


def self_signed(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )


def log_in(folder: Path, host: str, auth: str = BASIC) -> Path:
    """What ``docker login`` leaves behind, in ``folder``."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"auths": {host: {"auth": auth}}}))
    return folder

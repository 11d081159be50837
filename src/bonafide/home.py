"""Where Bonafide keeps what outlives a command.

On a laptop all of it lies in one folder, ``BONAFIDE_HOME`` (default ``.bonafide``). What several machines
share has a place of its own, which the environment names: the registry, the delivery repository, the signing
key, the store of predictions. Where ``BONAFIDE_EPHEMERAL`` is set, as in the pipeline's image, the folder is
gone with the step, so these places must be named. Packages lie with the registry, unless a container registry
is named for them.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path

from bonafide.errors import ConfigError

REGISTRY = "MLFLOW_TRACKING_URI"
PACKAGES = "BONAFIDE_PACKAGES"
DELIVERY = "BONAFIDE_DELIVERY"
SIGNING_KEY = "BONAFIDE_SIGNING_KEY"
PUBLIC_KEY = "BONAFIDE_PUBLIC_KEY"
STORE = "BONAFIDE_STORE"
EPHEMERAL = "BONAFIDE_EPHEMERAL"
LOCAL = "local"
PKCS11 = "pkcs11:"
OCI = "oci://"
# As containers' tools read it, to which a host without a dot and a port is a folder at Docker Hub.
REPOSITORY = re.compile(r"oci://(?=[^/]*[.:])[\w.:\[\]-]+(/[a-z0-9]+([._-]+[a-z0-9]+)*)*")


def home() -> Path:
    """The absolute state folder; read from the environment at each call, created by whoever writes."""
    return Path(os.environ.get("BONAFIDE_HOME") or ".bonafide").resolve()


def keys() -> Path:
    """The folder of this home's own key pair."""
    return home() / "keys"


def registry() -> str:
    """The address of the MLflow server or database; empty for this home's own database.

    Raises:
        ConfigError: it must be named, and is not; as in all functions below.
    """
    return _named(REGISTRY, "the address of the MLflow server", lambda place: not place.startswith("sqlite"))


def container_registry() -> str:
    """Where packages go as images: ``oci://HOST/REPOSITORY``; empty for where MLflow keeps artifacts."""
    place = os.environ.get(PACKAGES, "").rstrip("/")
    if place and not REPOSITORY.fullmatch(place):
        raise ConfigError(
            f"{PACKAGES} is {without_secrets(place)}; give oci://HOST/REPOSITORY: "
            "HOST with a dot or a port, REPOSITORY in small letters, no tag, no password"
        )
    return place


def delivery() -> str:
    """The delivery repository: a folder, or an address that Git pushes to."""
    return _named(DELIVERY, "the Git address of the delivery repository", is_remote) or str(
        home() / "delivery"
    )


def signing_key() -> str:
    """The private key: a PEM file or a ``pkcs11:`` URI; empty for this home's own, made on first use."""
    return _named(SIGNING_KEY, "the private key's file or pkcs11: URI", bool)


def verifying_key() -> Path:
    """The public key of :func:`signing_key`; what else in its folder ends in .pub is trusted too."""
    if named := os.environ.get(PUBLIC_KEY):
        return Path(named)
    private = signing_key()
    if private.startswith(PKCS11):
        raise ConfigError(f"{PUBLIC_KEY} is not set: name the file of the public key that {SIGNING_KEY} has")
    return Path(private).with_suffix(".pub") if private else keys() / "signing.pub"


def store() -> str:
    """The database of predictions and feedback; ``local`` and nothing stand for this home's own."""
    place = _named(STORE, "the address of its PostgreSQL", lambda place: place.startswith("postgresql"))
    return own_store() if place in ("", LOCAL) else place


def own_store() -> str:
    """This home's own database of predictions and feedback."""
    return f"sqlite:///{home() / 'store.db'}"


def trusted_keys() -> Path:
    """The folder of the public keys that packages in service may be signed for."""
    return verifying_key().parent


def without_secrets(address: str) -> str:
    """The address for people: without a user's name and password, without a PIN."""
    return re.sub(r"(?<=://)[^/]*@|(?<=[?&;]pin-value=)[^&;]*", "", address)


def is_remote(place: str) -> bool:
    """Whether Git takes a place for an address: it has a scheme, or a colon before any slash."""
    return re.match(r"\w[\w+.-]*://|[^/]+:", place) is not None


def _named(variable: str, what: str, lasts: Callable[[str], bool]) -> str:
    place = os.environ.get(variable, "")
    if os.environ.get(EPHEMERAL) and not (place and lasts(place)):
        said = f"is {without_secrets(place)}" if place else "is not set"
        raise ConfigError(f"{variable} {said}: this step's own folder is gone when it ends; give {what}")
    return place

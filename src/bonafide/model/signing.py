"""Signatures of folders with an elliptic-curve key, by OpenSSF model-signing; offline."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from bonafide.errors import PackageError
from bonafide.files import write_bytes
from bonafide.home import PKCS11, keys, signing_key, without_secrets


class KeyPair(NamedTuple):
    """Paths of PEM files: the private key (mode 0600) and the public key that verifiers are given."""

    private: Path
    public: Path


def ensure_key(folder: Path) -> KeyPair:
    """The signing key in ``folder``, made on first use (EC P-256); safe when several processes start at once.

    Raises:
        PackageError: the private key is gone, unreadable, or not the partner of the public key that is there.
    """
    keys = KeyPair(folder / "signing.pem", folder / "signing.pub")
    if keys.public.exists() and not keys.private.exists():
        raise PackageError(
            f"{keys.private} is missing while {keys.public} is there: restore the private key, "
            "or rename the public key to start with a new pair: what it signed stays trusted here"
        )
    if not keys.private.exists():
        _create_once(keys.private, _generate())
    public = _public_of(keys.private)
    if not keys.public.exists():
        write_bytes(keys.public, public)
    elif keys.public.read_bytes() != public:
        raise PackageError(
            f"{keys.public} does not belong to {keys.private}: restore the pair from one backup"
        )
    return keys


def signer() -> str | Path:
    """What packages are signed with: what ``BONAFIDE_SIGNING_KEY`` names, or this home's own key."""
    return signing_key() or ensure_key(keys()).private


def sign(folder: Path, private: str | Path, signature: Path) -> None:
    """Write the Sigstore bundle ``signature`` over every file in ``folder`` but the bundle itself.

    Args:
        private: an EC key in a PEM file, or a ``pkcs11:`` URI (RFC 7512) with its ``module-path``.

    Raises:
        PackageError: the key cannot be used.
    """
    config, everything_else = _signer(str(private)), _all_but(signature)
    config.set_hashing_config(everything_else).sign(folder.absolute(), signature)


def _signer(private: str) -> Any:
    from model_signing import signing

    if private.startswith(PKCS11):
        try:
            return signing.Config().use_pkcs11_signer(pkcs11_uri=private)
        except Exception as error:  # a token fails in many ways, and each one is a refusal
            raise PackageError(f"cannot sign with {without_secrets(private)}: {error}") from error
    try:
        return signing.Config().use_elliptic_key_signer(private_key=Path(private))
    except (OSError, ValueError, TypeError) as error:
        raise PackageError(f"cannot sign with {private}: {error}; give an EC private key in PEM") from error


def check(folder: Path, signature: Path, public: Path) -> None:
    """Hold ``folder`` against ``signature`` and the trusted ``public`` key.

    Args:
        public: a PEM file, or a folder whose ``*.pub`` files are all trusted.

    Raises:
        PackageError: no key can be read, or the signature was made by another key or over other content.
    """
    trusted = sorted(public.glob("*.pub")) if public.is_dir() else [public]
    if not trusted:
        raise PackageError(f"{public} holds no public key; put the signing.pub of who made the package there")
    *others, last = trusted
    for key in others:
        with suppress(PackageError):
            return _check(folder, signature, key)
    return _check(folder, signature, last)


def _check(folder: Path, signature: Path, public: Path) -> None:
    from model_signing import verifying

    everything_else = _all_but(signature)
    try:
        verifier = verifying.Config().use_elliptic_key_verifier(public_key=public)
    except (OSError, ValueError, TypeError) as error:
        raise PackageError(
            f"cannot read the public key {public}: {error}; give the signing.pub of whoever made the package"
        ) from error
    try:
        verifier.set_hashing_config(everything_else).verify(folder.absolute(), signature)
    except Exception as error:  # a forged bundle fails in many ways, and each one is a refusal
        raise PackageError(
            f"{signature}: the signature does not hold for {public} ({error or type(error).__name__}); "
            "fetch the package again, or give the public key of whoever signed it"
        ) from error


def _all_but(signature: Path) -> Any:
    """Hash every other file; a relative path would be taken for one inside the folder."""
    from model_signing import hashing

    return hashing.Config().set_ignored_paths(paths=[signature.absolute()], ignore_git_paths=False)


def _generate() -> bytes:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _create_once(path: Path, content: bytes) -> None:
    """Linking a finished file is atomic and lets the first of several processes win."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.link(name, path)
    except FileExistsError:
        pass
    except OSError as error:
        raise PackageError(f"cannot write {path}: {error.strerror}; make the folder writable") from error
    finally:
        Path(name).unlink(missing_ok=True)


def _public_of(private: Path) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

    try:
        key = load_pem_private_key(private.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise PackageError(
            f"cannot read the private key {private}: {error}; restore it or remove the pair"
        ) from error
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

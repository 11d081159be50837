"""Secrets for a step whose engine mounts none, such as Vertex AI's: fetched just before it begins.

``python -m bonafide.secrets TARGET=VERSION … -- COMMAND …`` asks Google's Secret Manager for each version,
with the rights of the step's service account, and becomes the command. A target is a variable, or the
absolute path of a file that only its owner reads. Another address than Google's own, such as a private one,
stands in ``BONAFIDE_SECRET_MANAGER``.
"""

import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bonafide.errors import BonafideError, ConfigError
from bonafide.files import write_bytes

ADDRESS = "BONAFIDE_SECRET_MANAGER"
PATIENCE_SECONDS = 60.0
HINTS = {
    "Forbidden": "; give the step's service account roles/secretmanager.secretAccessor on it",
    "NotFound": "; make it: gcloud secrets versions add",
}


def provide(wanted: Iterable[tuple[str, str]]) -> None:
    """Put secrets where a command will look for them.

    Args:
        wanted: pairs of a variable, or a file's absolute path, and a version's whole name in Secret Manager.

    Raises:
        ConfigError: one cannot be had. No message holds a value.
        BonafideError: a file cannot be written.
    """
    service = _service()
    for target, version in wanted:
        content = _fetch(service, target, version)
        if target.startswith("/"):
            write_bytes(Path(target), content, mode=0o600)
        else:
            os.environ[target] = _text(content, target, version)


def _service() -> Any:
    """An address at http:// is a stand-in that asks for no credentials."""
    from google.auth.credentials import AnonymousCredentials
    from google.auth.exceptions import GoogleAuthError
    from google.cloud.secretmanager_v1 import SecretManagerServiceClient

    address = os.environ.get(ADDRESS)
    try:
        return SecretManagerServiceClient(
            credentials=AnonymousCredentials() if (address or "").startswith("http://") else None,
            transport="rest",
            client_options={"api_endpoint": address},
        )
    except GoogleAuthError as error:
        raise ConfigError(f"Secret Manager needs the credentials of a service account: {error}") from error


def _fetch(service: Any, target: str, version: str) -> bytes:
    import google_crc32c
    from google.api_core.exceptions import GoogleAPIError
    from google.api_core.retry import Retry
    from google.auth.exceptions import GoogleAuthError
    from requests import RequestException

    try:
        payload = service.access_secret_version(
            name=version, retry=Retry(timeout=PATIENCE_SECONDS), timeout=PATIENCE_SECONDS
        ).payload
    except (GoogleAPIError, GoogleAuthError, RequestException) as error:
        told = str(getattr(error, "cause", None) or error).partition("\n")[0]
        reason = re.sub(r"\bGET \S+: ", "", told)
        hint = HINTS.get(type(error).__name__, "")
        raise ConfigError(f"{target}: Secret Manager does not give {version}: {reason}{hint}") from error
    if google_crc32c.value(payload.data) != payload.data_crc32c:
        raise ConfigError(f"{target}: {version} arrived damaged from Secret Manager; run again")
    return bytes(payload.data)


def _text(content: bytes, target: str, version: str) -> str:
    """Without the line's end that ``echo`` adds."""
    try:
        text = content.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise ConfigError(f"{target}: {version} holds bytes that no variable can; let it become a file")
    return text


def main() -> None:
    """Fetch what is named before ``--`` and become the command behind it."""
    end = sys.argv.index("--")
    named = [argument.rpartition("=") for argument in sys.argv[1:end]]
    try:
        provide((target, version) for target, _, version in named)
    except BonafideError as error:
        sys.stderr.write(f"bonafide: {error}\n")
        sys.exit(2)
    os.execvp(sys.argv[end + 1], sys.argv[end + 1 :])  # noqa: S606  (the step's own command)


if __name__ == "__main__":
    main()

"""The name and password that Git itself would show a host, for its API too: no other secret is needed."""

import base64
import os
import re
import subprocess
from pathlib import Path

from bonafide.errors import DeliveryError
from bonafide.home import without_secrets

TIMEOUT_SECONDS = 60
BASIC = re.compile(r"Authorization:\s*Basic\s+(\S+)\s*", re.IGNORECASE)


def login(address: str, folder: Path) -> tuple[str, str]:
    """Of an HTTP address: from a header in Git's settings, from the address, or from a credential helper.

    Args:
        folder: the repository that Git pushes from, whose settings count, and no other's.

    Raises:
        DeliveryError: Git has none, or a header that cannot be read.
    """
    if header := BASIC.fullmatch(_git(folder, "config", "--get-urlmatch", "http.extraHeader", address)):
        return _shown(header[1], address)
    told = _git(folder, "credential", "fill", given=f"url={address}\n\n")
    found = dict(line.split("=", 1) for line in told.splitlines() if "=" in line)
    try:
        return found["username"], found["password"]
    except KeyError:
        raise DeliveryError(
            f"Git has no name and password for {without_secrets(address)}; give it a credential helper"
        ) from None


def _shown(encoded: str, address: str) -> tuple[str, str]:
    try:
        name, password = base64.b64decode(encoded, validate=True).decode().split(":", 1)
    except ValueError:  # of base64, of UTF-8, or without a colon
        raise DeliveryError(
            f"the header that Git has for {without_secrets(address)} cannot be read; after Basic it needs "
            "the base64 of NAME:PASSWORD"
        ) from None
    return name, password


def _git(folder: Path, *command: str, given: str = "") -> str:
    """What Git prints; nothing if it fails, or asks somebody who does not answer."""
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
    try:
        return subprocess.run(  # noqa: S603
            ["git", *command],  # noqa: S607
            cwd=folder,
            input=given,
            env=environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
        ).stdout
    except subprocess.TimeoutExpired:
        return ""

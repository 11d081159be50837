"""The name and password that Git itself would show a host, for its API too: no other secret is needed."""

import base64
import os
import re
import subprocess

from bonafide.errors import DeliveryError
from bonafide.home import without_secrets

TIMEOUT_SECONDS = 60
BASIC = re.compile(r"Authorization:\s*Basic\s+(\S+)\s*", re.IGNORECASE)


def login(address: str) -> tuple[str, str]:
    """Of an HTTP address: from a header in Git's settings, from the address, or from a credential helper.

    Raises:
        DeliveryError: Git has none.
    """
    if header := BASIC.fullmatch(_git("config", "--get-urlmatch", "http.extraHeader", address)):
        name, _, password = base64.b64decode(header[1]).decode().partition(":")
        return name, password
    told = _git("credential", "fill", given=f"url={address}\n\n")
    found = dict(line.split("=", 1) for line in told.splitlines() if "=" in line)
    try:
        return found["username"], found["password"]
    except KeyError:
        raise DeliveryError(
            f"Git has no name and password for {without_secrets(address)}; give it a credential helper"
        ) from None


def _git(*command: str, given: str = "") -> str:
    """What Git prints; nothing if it fails, or asks somebody who does not answer."""
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
    try:
        return subprocess.run(  # noqa: S603
            ["git", *command],  # noqa: S607
            input=given,
            env=environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
        ).stdout
    except subprocess.TimeoutExpired:
        return ""

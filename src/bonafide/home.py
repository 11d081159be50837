"""Where Bonafide keeps its state: one folder, ``BONAFIDE_HOME`` (default ``.bonafide``)."""

import os
from pathlib import Path


def home() -> Path:
    """The absolute state folder; read from the environment at each call, created by whoever writes."""
    return Path(os.environ.get("BONAFIDE_HOME", ".bonafide")).resolve()


def keys() -> Path:
    """The folder of the signing key pair."""
    return home() / "keys"

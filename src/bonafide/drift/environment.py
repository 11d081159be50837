"""The detectors' own environment: where its Python is, and how it is asked."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonafide.errors import BonafideError, ConfigError

PYTHON = "BONAFIDE_DRIFT_PYTHON"
SCRIPT = Path(__file__).with_name("detectors.py")


@dataclass(frozen=True)
class Check:
    """A ``test`` of :mod:`bonafide.drift.detectors` on two arrays, which are named."""

    test: str
    reference: str
    window: str
    seed: int = 0
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """A p-value for each column, or one of all, and how far apart the arrays are by the test's measure."""

    p: list[float]
    distance: list[float]


def python() -> Path:
    """The Python that has alibi-detect: what ``BONAFIDE_DRIFT_PYTHON`` names, or what ``make setup`` made.

    Raises:
        ConfigError: there is none.
    """
    named = os.environ.get(PYTHON)
    path = Path(named) if named else Path(sys.prefix).with_name(".venv-drift") / "bin" / "python"
    if not path.is_file():
        raise ConfigError(
            f"{path} is not there: the drift detectors need an environment of their own; make it with "
            f"`make setup-drift`, or name its Python in {PYTHON}"
        )
    return path


def detect(
    arrays: Mapping[str, NDArray[Any]], checks: Mapping[str, Check], seconds: float
) -> dict[str, Answer]:
    """Do the checks in one process of that environment, whose imports alone take several seconds.

    Raises:
        ConfigError: the environment is not there.
        BonafideError: it is broken, or did not answer within ``seconds``.
    """
    interpreter = python()
    with tempfile.TemporaryDirectory(prefix="bonafide-drift-") as scratch:
        given, asked, found = (Path(scratch, name) for name in ("arrays.npz", "checks.json", "found.json"))
        np.savez(given, allow_pickle=False, **dict(arrays))
        asked.write_text(json.dumps({name: asdict(check) for name, check in checks.items()}))
        command = [str(part) for part in (interpreter, "-I", SCRIPT, given, asked, found)]
        try:
            ended = subprocess.run(command, capture_output=True, text=True, timeout=seconds)  # noqa: S603
        except subprocess.TimeoutExpired:
            raise BonafideError(
                f"the drift detectors did not answer within {seconds:g} s; raise drift.seconds, or lower "
                "drift.rows"
            ) from None
        except OSError as error:
            raise BonafideError(f"{interpreter} cannot be started: {error.strerror}; name another") from error
        if ended.returncode:
            last = ended.stderr.strip().rpartition("\n")[2] or f"exit code {ended.returncode}"
            raise BonafideError(
                f"the drift detectors of {interpreter} failed: {last}; try `make setup-drift` again"
            )
        return {name: Answer(**answer) for name, answer in json.loads(found.read_text()).items()}

"""How runs ended: one JSON line each, for people and for whatever watches the file."""

import json
import sys
from datetime import UTC, datetime

from bonafide.home import home

FILE = "outcomes.jsonl"


def record(task: str, job: str, state: str, error: str) -> None:
    """Append the outcome of a run to ``outcomes.jsonl`` and say it on standard output.

    Args:
        job: the run's name with the engine that ran it.
        state: ``SUCCEEDED``, ``FAILED`` or ``CANCELLED``.
        error: why, or empty.
    """
    outcome = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "task": task,
        "job": job,
        "state": state,
        "error": error,
    }
    home().mkdir(parents=True, exist_ok=True)
    with (home() / FILE).open("a") as stream:
        stream.write(json.dumps(outcome) + "\n")
    sys.stdout.write(f"{task}: {state.lower()}{f', {error}' if error else ''}\n")

"""What a training run came to, read from its artifacts."""

import json
import shutil
from pathlib import Path
from typing import Any

from pipelines.runners.local import Run

REPORTS = {
    "validation": ("validate", "validation", "validation.html"),
    "evaluation": ("evaluate", "evaluation", "evaluation.html"),
    "gate": ("gate", "verdict", "gate.html"),
}


def summarise(run: Run) -> dict[str, Any]:
    """Dataset, metrics, gate verdict and steps as plain JSON values.

    Raises:
        BonafideError: the run ended before the gate.
    """
    verdict = _json(run.artifact("gate", "verdict") / "gate.json")
    dataset = _json(run.artifact("split", "splits") / "dataset.json")
    return {
        "dataset": {"digest": dataset["digest"], "counts": dataset["counts"]},
        "metrics": _json(run.artifact("evaluate", "evaluation") / "evaluation.json")["metrics"],
        "gate": {"promote": verdict["promote"], "checks": verdict["checks"]},
        "steps": [
            {"name": step.name, "seconds": round(step.seconds, 2), "cached": bool(step.cache_key)}
            for step in run.steps
        ],
    }


def collect_reports(run: Run, folder: Path) -> dict[str, Path]:
    """Copy the HTML reports that the run got to into ``folder``, under names that stay the same."""
    folder.mkdir(parents=True, exist_ok=True)
    copied = {}
    for name, (step, output, file) in REPORTS.items():
        found = run.step(step)
        if found and found.state == "SUCCESS":
            copied[name] = Path(shutil.copyfile(run.artifact(step, output) / file, folder / f"{name}.html"))
    return copied


def _json(path: Path) -> Any:
    return json.loads(path.read_text())

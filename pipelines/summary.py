"""What a training run came to, read from its artifacts."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from bonafide.files import write_text
from bonafide.pages import linked
from pipelines.runners.local import Run


class Report(NamedTuple):
    """Where a step leaves its page, and what the page is called."""

    step: str
    output: str
    title: str


REPORTS = {
    "validation": Report("validate", "validation", "Data audit"),
    "evaluation": Report("evaluate", "evaluation", "Evaluation"),
    "gate": Report("gate", "verdict", "Gate"),
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
    """Copy the HTML reports that the run got to into ``folder``, linked, under names that stay the same.

    Those of an earlier run go.
    """
    pages = {}
    for name, report in REPORTS.items():
        found = run.step(report.step)
        if found and found.state == "SUCCESS":
            pages[name] = (run.artifact(report.step, report.output) / f"{name}.html").read_text()
    files = {REPORTS[name].title: f"{name}.html" for name in pages}
    folder.mkdir(parents=True, exist_ok=True)
    for name in REPORTS.keys() - pages.keys():
        (folder / f"{name}.html").unlink(missing_ok=True)
    for name, page in pages.items():
        write_text(folder / f"{name}.html", linked(page, files, REPORTS[name].title))
    return {name: folder / f"{name}.html" for name in pages}


def _json(path: Path) -> Any:
    return json.loads(path.read_text())

"""What a training run came to, read from its artifacts."""

import json
import shutil
from pathlib import Path
from typing import Any

from pipelines.runners.local import Run

REPORTS = {
    "validation": ("validate", "validation", "report.html"),
    "evaluation": ("evaluate", "evaluation", "report.html"),
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


def held_out(run: Run, labels: tuple[str, ...], per_label: int) -> list[dict[str, Any]]:
    """A few test images of each label: ``image`` (its path), ``truth`` and ``content`` (its bytes)."""
    from bonafide.data import dataset

    table = dataset.read(run.artifact("split", "splits"), "test", ["image", "label_name"])
    names = table["label_name"].to_pylist()
    chosen = []
    for label in labels:
        rows = [index for index, name in enumerate(names) if name == label]
        chosen += rows[:: max(1, len(rows) // per_label)][:per_label]
    images = (table["image"][index].as_py() for index in chosen)
    return [
        {"image": image["path"], "truth": names[index], "content": image["bytes"]}
        for index, image in zip(chosen, images, strict=True)
    ]

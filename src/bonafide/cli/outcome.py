"""What a training run came to, on the terminal."""

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

METRICS = {
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "auroc": "AUROC",
    "ece": "calibration error",
}


def print_summary(console: "Console", summary: dict[str, Any]) -> None:
    """Dataset counts, metrics with intervals, and the gate's verdict check by check."""
    from rich.table import Table

    counts = summary["dataset"]["counts"]
    labels = list(next(iter(counts.values())))
    dataset = Table(f"{_noun(summary)}s", *labels, title="Dataset", title_justify="left")
    for split, by_label in counts.items():
        dataset.add_row(split, *(str(by_label[label]) for label in labels))
    console.print()
    console.print(dataset)
    print_verdict(console, summary)


def print_verdict(console: "Console", summary: dict[str, Any]) -> None:
    """Metrics with intervals, and the gate's verdict check by check."""
    from rich.table import Table
    from rich.text import Text

    from bonafide.pages import quantity

    tested = f"on test {_noun(summary)}s"
    metrics = Table(tested, "measured", "95 % interval", title="Metrics", title_justify="left")
    for key, title in METRICS.items():
        found = summary["metrics"][key]
        metrics.add_row(title, _number(found["value"]), _ends(found["low"], found["high"]))
    gate = summary["gate"]
    verdict = "promoted" if gate["promote"] else "refused"
    checks = Table("check", "measured", "required", "result", title=f"Gate: {verdict}", title_justify="left")
    for check in gate["checks"]:
        mark = Text("pass", "green") if check["passed"] else Text("FAIL", "bold red")
        checks.add_row(check["name"], quantity(check["measured"], check["unit"]), check["required"], mark)
    for table in (metrics, checks):
        console.print()
        console.print(table)


def print_predictions(console: "Console", summary: dict[str, Any], version: str, url: str) -> None:
    """The served model's answers for held-out inputs."""
    from rich.table import Table
    from rich.text import Text

    title = f"Version {version}, asked at {url}"
    held_out = f"held-out {_noun(summary)}"
    table = Table(held_out, "truth", "answer", "confidence", title=title, title_justify="left")
    for answer in summary["predictions"]:
        style = "green" if answer["label"] == answer["truth"] else "bold red"
        confidence = f"{answer['probabilities'][answer['label']]:.1%}"
        name = Path(answer["name"]).name
        table.add_row(name, answer["truth"], Text(answer["label"], style), confidence)
    console.print()
    console.print(table)


def print_places(
    console: "Console",
    reports: dict[str, Path],
    summary_file: Path,
    package: Path | None = None,
    asked: str = "",
) -> None:
    """Where to look and what to run next.

    Args:
        asked: what the model of the package is asked about, as `bonafide predict` takes it.
    """
    from bonafide.home import home

    store = f"sqlite:///{_near(home() / 'mlflow.db')}"
    print_reports(console, reports)
    places = {
        "summary": _near(summary_file),
        "runs in MLflow": f"{_command('mlflow')} ui --backend-store-uri {store}",
    }
    if package:
        places["model package"] = _near(package)
        places["serve it"] = f"{_command('bonafide')} serve {_near(package)}"
        places["ask it"] = f"{_command('bonafide')} predict {asked}"
    for name, place in places.items():
        _print_place(console, name, place)


def print_reports(console: "Console", reports: dict[str, Path]) -> None:
    """Where the reports are that a run got to."""
    console.print()
    for name, path in reports.items():
        _print_place(console, f"{name} report", _near(path))


def _print_place(console: "Console", name: str, place: str) -> None:
    console.print(f"{name:<18} {place}", soft_wrap=True)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _ends(low: float | None, high: float | None) -> str:
    return "– (too few groups)" if low is None else f"{_number(low)} to {_number(high)}"


def _command(name: str) -> str:
    """How to call it from here: by name in an activated environment, else by path."""
    return name if shutil.which(name) else _near(Path(sys.executable).parent / name)


def _near(path: Path) -> str:
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


def _noun(summary: dict[str, Any]) -> str:
    """What an input is called; older runs do not tell."""
    return str(summary["metrics"].get("noun", "image"))

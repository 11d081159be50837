"""Train and judge the flagship with three seeds: the spread that one figure hides.

Each seed builds its own sample, splits its own regions and trains its own model. Writes
docs/benchmarks/results.json, and results.md from it.
"""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from bonafide.files import write_json, write_text

SEEDS = (42, 1, 2)
RESULTS = Path("docs/benchmarks/results.json")
HOMES = Path(".bonafide/seeds")


def main() -> None:
    """Run the demo once a seed and write the table."""
    results = {
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "seeds": {str(seed): _column(_run(seed)) for seed in SEEDS},
    }
    write_json(RESULTS, results)
    write_text(RESULTS.with_suffix(".md"), page(results))
    print(f"wrote {RESULTS.with_suffix('.md')}")


def page(results: dict[str, Any]) -> str:
    """The page of what ``results.json`` holds."""
    columns = list(results["seeds"].values())
    rows = [f"| {name} | " + " | ".join(column[name] for column in columns) + " |" for name in columns[0]]
    seeds = " | ".join(f"seed {seed}" for seed in results["seeds"])
    return TEMPLATE.format(
        header=f"| | {seeds} |",
        rule="|---" * (len(columns) + 1) + "|",
        rows="\n".join(rows),
        machine=results["machine"],
    )


def _run(seed: int) -> dict[str, Any]:
    home = HOMES / str(seed)
    environment = {**os.environ, "BONAFIDE_HOME": str(home)}
    command = [sys.executable, "-m", "bonafide", "demo", "--set", f"seed={seed}"]
    subprocess.run(command, env=environment, check=True)
    summary: dict[str, Any] = json.loads((home / "demo" / "summary.json").read_text())
    return summary


TEMPLATE = """# Results on the offline sample

Written by `make seeds`. Each seed builds its own sample, holds back its own regions of photographs and trains
its own model. The figures say nothing about images in the world: see
[the offline sample](../reference/offline-sample.md).

{header}
{rule}
{rows}

In brackets: 95 % intervals from [resampling groups](intervals.md), here regions of photographs. What that
assumes is said under [the offline sample](../reference/offline-sample.md).
`pixel-shuffle` is the generator that training never sees.

Machine: {machine}.
"""


def _column(summary: dict[str, Any]) -> dict[str, str]:
    metrics, checks = summary["metrics"], summary["gate"]["checks"]
    recalls = {f"recall of {name}": _interval(found["recall"]) for name, found in metrics["labels"].items()}
    slices = {
        f"accuracy on `{name}` fakes": _interval(found["accuracy"])
        for name, found in sorted(metrics["slices"]["generator"].items())
    }
    passed = sum(check["passed"] for check in checks)
    verdict = "promoted" if summary["gate"]["promote"] else "refused"
    return {
        "test images": str(metrics["n"]),
        "groups of test images": str(metrics["groups"]),
        "accuracy": _interval(metrics["accuracy"]),
        "macro F1": _interval(metrics["macro_f1"]),
        **recalls,
        "AUROC": _interval(metrics["auroc"]),
        "calibration error": _interval(metrics["ece"]),
        **slices,
        "gate": f"{verdict}, {passed} of {len(checks)} checks passed",
    }


def _interval(value: dict[str, float | None]) -> str:
    if value["low"] is None:
        return f"{value['value']:.3f} (too few groups)"
    return f"{value['value']:.3f} ({value['low']:.3f}–{value['high']:.3f})"


if __name__ == "__main__":
    main()

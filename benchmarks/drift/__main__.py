"""Two hundred windows a row of real images, as they are and changed, judged by the drift check.

After `make demo`, whose model answers. Writes docs/benchmarks/drift.md and drift.json; ``--resume`` keeps
what is there.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.drift import material, page, speed
from benchmarks.drift.material import Material
from benchmarks.drift.rows import KINDS, REFERENCES, ROWS, RUNS, SETTINGS
from bonafide.drift.environment import Check, detect
from bonafide.drift.judge import checks, judge, sides
from bonafide.files import write_json, write_text
from bonafide.home import home, trusted_keys
from bonafide.model.package import verify
from bonafide.model.runtime import OnnxModel
from bonafide.progress import progress
from bonafide.registry import packages, versions

FOLDER = Path("docs/benchmarks")
LONGEST_SECONDS = 7200


def main() -> None:
    """Judge every row and write the page."""
    results = FOLDER / "drift.json"
    found = json.loads(results.read_text()) if "--resume" in sys.argv else {"runs": RUNS, "judged": {}}
    missing = [row for row in ROWS if key(*row) not in found["judged"]]
    package = packages.fetch(versions.chosen("authenticity"))
    info = verify(package, trusted_keys())
    if missing:
        model = OnnxModel(package, info, threads=1)
        made = material.load(model, info, home() / "bench-drift" / "sample")
        found |= {"accuracy": made.accuracy(), "images": len(made.label)}
        with progress("rows of the drift table", len(missing)) as advance:
            for name, size in missing:
                found["judged"][key(name, size)] = judged(made, name, size)
                write_json(results, found)
                advance(detail=f"{name}, {size}")
    if "speed" not in found:
        found["speed"] = speed.measure(package, info)
        write_json(results, found)
    write_text(FOLDER / "drift.md", page.page(found))


def key(name: str, size: int) -> str:
    """What a row is called in the results."""
    return f"{name}, {size}"


def judged(made: Material, name: str, size: int) -> dict[str, Any]:
    """What all runs of a row came to."""
    seed = [list(KINDS).index(name), size]
    pairs, arrays, asked = [], {}, dict[str, Check]()
    for run in range(RUNS):
        known, seen = made.pair(KINDS[name], REFERENCES, size, np.random.default_rng([*seed, run]))
        pairs.append(sides(known, seen, SETTINGS))
        more = checks(pairs[-1], SETTINGS, f"{run}.")
        arrays |= more[0]
        asked |= more[1]
    answers = detect(arrays, asked, LONGEST_SECONDS)
    judgements = []
    for run, both in enumerate(pairs):
        own = {each.partition(".")[2]: found for each, found in answers.items() if each.startswith(f"{run}.")}
        judgements.append(judge(both, own, SETTINGS))
    return page.counted(judgements)


if __name__ == "__main__":
    main()

"""A thousand simulated rollouts a row, judged by the project's own code and by other systems' rules.

Writes docs/benchmarks/canary.md, canary.json and canary.svg.
"""

import json
import sys
from pathlib import Path

import numpy as np

from benchmarks.canary import page, picture, rows
from bonafide.files import write_json, write_text
from bonafide.progress import progress

FOLDER = Path("docs/benchmarks")
RUNS = 1000


def main() -> None:
    """Simulate every row, with ``--resume`` those that are missing, and write the page."""
    results = FOLDER / "canary.json"
    found = json.loads(results.read_text()) if "--resume" in sys.argv else {"runs": RUNS, "judged": {}}
    every = list(enumerate(rows.rows()))
    with progress("rows of the canary's tables", len(every)) as advance:
        for seed, row in every:
            if row.name not in found["judged"]:
                found["judged"][row.name] = rows.simulate(row, RUNS, seed)
                write_json(results, found)
            advance(detail=row.name)
    if "peers" not in found:
        found["replays"] = {
            f"{shift:g}": rows.replayed(shift, RUNS, np.random.default_rng(round(100 * shift)))
            for shift in rows.SHIFTS
        }
        found["peers"] = rows.peers(RUNS)
        write_json(results, found)
    picture.draw(FOLDER / "canary.svg")
    write_text(FOLDER / "canary.md", page.page(found))


if __name__ == "__main__":
    main()

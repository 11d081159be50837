"""What orchestration costs: a first run of the training pipeline against the same library calls.

Both sides start from nothing, in turn, with the same task and seed; the direct side is one process that
calls the library functions that the components call. Writes docs/benchmarks/pipeline.md.
"""

import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PAGE = Path("docs/benchmarks/pipeline.md")
LIMIT = 0.20


def main() -> None:
    """Measure both sides and write the page."""
    overrides = sys.argv[1:]
    with tempfile.TemporaryDirectory() as scratch:
        calls = [sys.executable, "-m", "benchmarks.direct", scratch, *overrides]
        direct = _timed(calls, f"{scratch}/direct")
        command = [sys.executable, "-m", "bonafide", "pipeline", "run", "training"]
        for override in overrides:
            command += ["--set", override]
        orchestrated = _timed(command, f"{scratch}/orchestrated")
        cached = _timed(command, f"{scratch}/orchestrated")
    overhead = orchestrated / direct - 1
    lines = [
        "# What orchestration costs",
        "",
        "Written by `make bench-pipeline`: a first run of the training pipeline on this machine against one",
        "process that makes the same library calls.",
        "",
        "| | seconds |",
        "|---|---|",
        f"| library calls | {direct:.1f} |",
        f"| pipeline, first run | {orchestrated:.1f} |",
        f"| pipeline, second run (cached) | {cached:.1f} |",
        f"| overhead of the first run | {overhead:.1%} (limit {LIMIT:.0%}) |",
        "",
        f"Machine: {platform.system()} {platform.machine()}, {os.cpu_count()} cores. One pair of runs.",
        "",
    ]
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text("\n".join(lines))
    print("\n".join(lines))


def _timed(command: list[str], home: str) -> float:
    started = time.perf_counter()
    subprocess.run(command, env={**os.environ, "BONAFIDE_HOME": home}, check=True)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()

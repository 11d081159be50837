"""How long commands take that should not make anybody wait; writes docs/benchmarks/commands.md."""

import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from time import perf_counter

PAGE = Path("docs/benchmarks/commands.md")
RUNS = 7
PROMISED_SECONDS = 0.5
COMMANDS = (
    *(f"{name} --help".strip() for name in ("", "demo", "predict", "batch", "serve", "api", "api-token")),
    *(f"{name} --help" for name in ("data", "model", "pipeline", "registry")),
    "api-token somebody",
)
TEMPLATE = """# How long commands take

Written by `make bench-commands`: the median of {runs} runs of each, in turn, in seconds, and how many
times that of an interpreter that does nothing
(`python -c pass`, {bare:.3f} s). At most {promised} s is promised.

| `bonafide …` | seconds | ÷ python | kept |
|---|---|---|---|
{rows}
"""


def main() -> None:
    """Measure and write the page."""
    bonafide = str(Path(sys.executable).with_name("bonafide"))
    commands = {"": [sys.executable, "-c", "pass"]}
    commands |= {command: [bonafide, *command.split()] for command in COMMANDS}
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(RUNS):
        for name, command in commands.items():
            seconds[name].append(_seconds(command))
    found = {name: median(values) for name, values in seconds.items()}
    bare = found.pop("")
    rows = "\n".join(
        f"| `{name}` | {value:.2f} | {value / bare:.0f} | "
        f"{'yes' if value <= PROMISED_SECONDS else '**no**'} |"
        for name, value in found.items()
    )
    page = TEMPLATE.format(runs=RUNS, bare=bare, promised=PROMISED_SECONDS, rows=rows)
    PAGE.write_text(page)
    print(page)


def _seconds(command: list[str]) -> float:
    begin = perf_counter()
    environment = os.environ | {"BONAFIDE_API_SECRET": "s" * 32}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    return perf_counter() - begin


if __name__ == "__main__":
    main()

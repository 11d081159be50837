"""``make bench-rows``: measure all servers in turn, print the table, write the page."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.rows import page, subject
from benchmarks.rows.systems import SYSTEMS
from benchmarks.serving import environments, figures, machine, measure
from benchmarks.serving.measure import Cores, MeasureError
from benchmarks.serving.subject import Subject
from benchmarks.serving.systems import System
from bonafide.progress import progress

CLIENTS = (1, 8, 32)
WARM_SECONDS = 2
LIMIT_ROWS = 1000


def main(
    seconds: Annotated[float, typer.Option(min=1, help="Of each closed loop.")] = 10,
    repeats: Annotated[int, typer.Option(min=1, help="Of all servers in turn.")] = 5,
) -> None:
    """Measure servers of rows on a core of their own against each other and against the bare loop."""
    os.environ.update(OMP_NUM_THREADS="1", OMP_WAIT_POLICY="passive")  # of this process; servers get neither
    with tempfile.TemporaryDirectory() as scratch:
        results = _measure(subject.make(Path(scratch) / "subject"), seconds, repeats)
    print(page.servers(results))
    page.write(results)


def _measure(measured: Subject, seconds: float, repeats: int) -> dict[str, Any]:
    cores = machine.cores()
    absent = {system.name: why for system in SYSTEMS if (why := environments.install(system))}
    limits: list[float] = []
    visits: dict[str, list[dict[str, Any]]] = {}
    with progress("servers", repeats * len(SYSTEMS)) as advance:
        for _ in range(repeats):
            limits.append(_limit(measured, cores, seconds / 2))
            for system in SYSTEMS:
                advance(1, system.name)
                if system.name not in absent:
                    try:
                        visits.setdefault(system.name, []).append(_visit(system, measured, cores, seconds))
                    except MeasureError as error:
                        absent[system.name] = str(error)
    return {
        "machine": machine.describe(cores),
        "seconds": seconds,
        "limits": limits,
        "systems": visits,
        "absent": absent,
    }


def _visit(system: System, measured: Subject, cores: Cores, seconds: float) -> dict[str, Any]:
    with measure.visit(system, measured, cores) as visited:
        return {str(clients): _closed(visited, clients, seconds) for clients in CLIENTS}


def _closed(visited: measure.Visited, clients: int, seconds: float) -> dict[str, float]:
    outcome = visited.send(seconds=seconds, clients=clients, warm_seconds=WARM_SECONDS)
    failed = figures.failed(outcome)
    percentiles = {
        f"p{share}_ms": 1000 * figures.percentile(outcome["latencies"], failed, share)
        for share in figures.PERCENTILES
    }
    busy = visited.running.usage.cores(outcome["begin"], outcome["end"])
    return {"rate": figures.rate(outcome), **percentiles, "failed": failed, "cores": busy}


def _limit(measured: Subject, cores: Cores, seconds: float) -> float:
    command = ["taskset", "--cpu-list", ",".join(map(str, cores.server)), sys.executable]
    command += ["-m", "benchmarks.rows.limit", str(measured.graph), str(LIMIT_ROWS), str(seconds)]
    return float(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


if __name__ == "__main__":
    typer.run(main)

"""``make bench-serving``: measure all systems in turn, print the table, write the page."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.serving import environments, extras, machine, measure, page, subject
from benchmarks.serving.measure import Cores, MeasureError
from benchmarks.serving.promises import promises
from benchmarks.serving.subject import Subject
from benchmarks.serving.systems import SYSTEMS, System
from bonafide.progress import Advance, progress

QUICK_SECONDS = 3.0
SMALL = ("mobilenet_v3_small", 64, 64)
MODEL = ("efficientnet_b0", 224, 512)
OVERHEAD_REQUESTS = 2000


def main(
    only: Annotated[list[str] | None, typer.Option(help="Measure systems with this in their name.")] = None,
    seconds: Annotated[float, typer.Option(min=1, help="Of the load at 50 requests/s.")] = 60,
    saturation: Annotated[float, typer.Option(min=1, help="Seconds of each closed loop.")] = 15,
    repeats: Annotated[
        int, typer.Option(min=1, help="Of the closed loops of Bonafide; its peers are visited once.")
    ] = 5,
    soak: Annotated[int, typer.Option(min=0, help="Requests to see memory over; 0 for none.")] = 0,
    quick: Annotated[bool, typer.Option("--quick", help="A few seconds of each; writes no page.")] = False,
) -> None:
    """Measure servers on cores of their own against each other and against the bare loop."""
    os.environ.update(OMP_NUM_THREADS="1", OMP_WAIT_POLICY="passive")  # of this process; servers get neither
    if quick:
        seconds, saturation, repeats = QUICK_SECONDS, QUICK_SECONDS, 1
    asked = [system for system in SYSTEMS if not only or any(name in system.name for name in only)]
    with tempfile.TemporaryDirectory() as scratch:
        results = _measure(asked, Path(scratch), seconds, saturation, repeats, soak)
    _print(results)
    if not quick and not only:
        page.write(results)
        print(f"wrote {page.DOCS / 'serving.md'}")


def _measure(
    asked: list[System], scratch: Path, seconds: float, saturation: float, repeats: int, soak: int
) -> dict[str, Any]:
    cores = machine.cores()
    described = machine.describe(cores)
    absent = {system.name: why for system in asked if (why := environments.install(system))}
    measured = subject.make(scratch / "subject", *MODEL)
    small = subject.make(scratch / "small", *SMALL)
    visits: dict[str, list[dict[str, Any]]] = {}
    loops = []
    with progress("servers", repeats * len(asked) + 2) as advance:
        for repeat in range(repeats):
            loops.append(_limit(measured, cores, saturation / 3))
            for system in asked:
                advance(1, system.name)
                if system.name not in absent and (system.is_ours or not repeat):
                    try:
                        fixed_seconds = seconds if repeat == 0 else 0.0
                        found = _visit(system, measured, cores, saturation, fixed_seconds)
                        visits.setdefault(system.name, []).append(found)
                    except (MeasureError, subprocess.CalledProcessError) as error:
                        absent[system.name] = str(error)
        more = _extras(measured, small, cores, saturation, advance)
    if soak:
        with progress("requests", soak) as advance:
            more["soak"] = extras.soak(small, cores, soak, advance)
    return {
        "machine": described,
        "settings": f"Repeats: {repeats} of Bonafide, in turn, and one of each peer, of {saturation:g} s; "
        f"{seconds:g} s at {measure.RATE:g} requests/s.",
        "limit": _summed_limit(loops),
        "systems": {
            system.name: _summed(system, visits[system.name], loops)
            for system in asked
            if system.name in visits
        },
        "extras": more,
        "absent": absent,
    }


def _visit(
    system: System, measured: Subject, cores: Cores, saturation: float, fixed_seconds: float
) -> dict[str, Any]:
    with measure.visit(system, measured, cores) as visited:
        found = {"idle_mib": measure.idle_mib(visited), **measure.saturate(visited, saturation)}
        if fixed_seconds:  # last: what it is too much for has a backlog for long
            found["fixed"] = measure.fixed_rate(visited, fixed_seconds)
        return found


def _limit(measured: Subject, cores: Cores, seconds: float) -> dict[str, float]:
    command = ["taskset", "--cpu-list", ",".join(map(str, cores.server)), sys.executable]
    command += ["-m", "benchmarks.serving.limit", str(measured.graph), str(measured.folder)]
    command += [str(MODEL[1]), str(seconds)]
    rates: dict[str, float] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return rates


def _summed_limit(loops: list[dict[str, float]]) -> dict[str, Any]:
    rates = {name: median(loop[name] for loop in loops) for name in loops[0]}
    return {"loops": rates, "decode_and_run": _best(rates)}


def _best(loop: Mapping[str, float]) -> float:
    return max(rate for name, rate in loop.items() if name.startswith("decode and run"))


def _summed(system: System, visits: list[dict[str, Any]], loops: list[dict[str, float]]) -> dict[str, Any]:
    middle = sorted(visits, key=lambda found: found["rate"])[len(visits) // 2]
    shares = [found["rate"] / _best(loop) for found, loop in zip(visits, loops, strict=False)]
    return {
        "ours": system.is_ours,
        "rate": median(found["rate"] for found in visits),
        "rates": [found["rate"] for found in visits],
        "share": median(shares),
        "shares": shares,
        "clients": middle["clients"],
        "saturated_cores": middle["cores"],
        "saturated_failed": sum(found["failed"] for found in visits),
        "idle_mib": median(found["idle_mib"] for found in visits),
        "peak_mib": max(found["peak_mib"] for found in visits),
        "fixed": visits[0]["fixed"],
    }


def _extras(
    measured: Subject, small: Subject, cores: Cores, seconds: float, advance: Advance
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    advance(1, "overhead")
    found["overhead"] = extras.overhead(small, cores, OVERHEAD_REQUESTS)
    advance(1, "explaining")
    found["explain"] = extras.explaining(measured, cores, 2 * seconds)
    return found


def _print(results: Mapping[str, Any]) -> None:
    console = Console()
    limit = Table("bare loop", "images/s")
    servers = Table(padding=0)
    for column in page.SYSTEM_COLUMNS:
        servers.add_column(column, no_wrap=column == page.SYSTEM_COLUMNS[0])
    kept = Table("promise", "measured", "kept")
    for row in page.limit_rows(results):
        limit.add_row(*(cell.strip("*") for cell in row))
    for row in page.system_rows(results):
        servers.add_row(*row)
    for each in promises(results):
        kept.add_row(each.promised, each.measured, "yes" if each.kept else "[red]no")
    for table in (limit, servers, kept):
        console.print(table)
    for name, why in results["absent"].items():
        console.print(f"not measured: {name}: {why}", markup=False)


if __name__ == "__main__":
    typer.run(main)

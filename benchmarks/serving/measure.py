"""One visit to one server: start it on the cores, load it, see what it uses."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from benchmarks.serving import figures
from benchmarks.serving.load import Order
from benchmarks.serving.process import Child, child
from benchmarks.serving.subject import Subject
from benchmarks.serving.systems import System

READY_SECONDS = 120
IDLE_SECONDS = 3
WARM_SECONDS = 3
CLIENTS = (8, 16)
RATE = 50.0
MEBIBYTE = 2**20
MOST_BUSY = 1.1

Outcome = dict[str, Any]


class MeasureError(Exception):
    """A server did not answer rightly in time, or left its cores; says what was seen."""


@dataclass(frozen=True)
class Cores:
    """Those that a server gets, and those of the load generator; the same where a machine has too few."""

    server: tuple[int, ...]
    load: tuple[int, ...]


@dataclass(frozen=True)
class Visited:
    """A running server that answers."""

    running: Child
    order: Order
    cores: Cores

    def send(self, **changes: Any) -> Outcome:
        """Load it; changes are those of the order."""
        command = ["taskset", "--cpu-list", ",".join(map(str, self.cores.load))]
        command += [sys.executable, "-m", "benchmarks.serving.load"]
        order = json.dumps(asdict(replace(self.order, **changes))).encode()
        answer = subprocess.run(command, input=order, stdout=subprocess.PIPE, check=True).stdout
        outcome: Outcome = json.loads(answer)
        return outcome


@contextmanager
def visit(system: System, subject: Subject, cores: Cores) -> Iterator[Visited]:
    """A server while the block runs.

    Raises:
        MeasureError: no right answer within two minutes.
    """
    ports = _free_ports()
    log = subject.folder / f"{system.name}.log"
    order = Order(
        url=system.url.format(*ports),
        dialect=system.dialect,
        subject=str(subject.folder),
        expected=str(system.expected(subject)),
        seconds=1,
        clients=1,
    )
    path = f"{system.bin}:/usr/bin:/bin"
    variables = {**system.settings(subject), "PATH": path}
    with child(system.start(system, subject, ports), cores.server, log, variables) as running:
        visited = Visited(running, order, cores)
        _wait(visited, log)
        yield visited


def saturate(visited: Visited, seconds: float) -> dict[str, Any]:
    """Closed loops of 8 and of 16 clients; the better one."""
    usage, best = visited.running.usage, None
    for clients in CLIENTS:
        outcome = visited.send(seconds=seconds, clients=clients, warm_seconds=WARM_SECONDS)
        begin, end = outcome["begin"], outcome["end"]
        if usage.cores(begin, end) > len(visited.cores.server) * MOST_BUSY:
            raise MeasureError(f"it used {usage.cores(begin, end):.1f} cores, more than it was given")
        found = {
            "clients": clients,
            "rate": figures.rate(outcome),
            "failed": figures.failed(outcome),
            "cores": usage.cores(begin, end),
            "peak_mib": usage.peak(begin, end) / MEBIBYTE,
        }
        best = found if best is None or found["rate"] > best["rate"] else best
    assert best is not None
    return best


def fixed_rate(visited: Visited, seconds: float) -> dict[str, Any]:
    """An open loop of 50 requests a second."""
    visited.send(seconds=WARM_SECONDS, clients=4)
    outcome = visited.send(seconds=seconds, rate=RATE)
    failed = figures.failed(outcome)
    percentiles = {
        f"p{share}_ms": 1000 * figures.percentile(outcome["latencies"], failed, share)
        for share in figures.PERCENTILES
    }
    cores = visited.running.usage.cores(outcome["begin"], outcome["end"])
    sent = len(outcome["latencies"]) + failed
    return {**percentiles, "sent": sent, "failed": failed, "reasons": outcome["failures"], "cores": cores}


def idle_mib(visited: Visited) -> float:
    """Resident memory of a server that has answered once and now waits."""
    sleep(IDLE_SECONDS)
    return visited.running.rss() / MEBIBYTE


def _wait(visited: Visited, log: Path) -> None:
    until, last = monotonic() + READY_SECONDS, {}
    while monotonic() < until and not visited.running.ended:
        outcome = visited.send(seconds=READY_SECONDS, count=1)
        if outcome["latencies"]:
            return
        last = outcome["failures"]
        sleep(0.5)
    said = log.read_text(errors="replace").strip().splitlines()[-3:]
    raise MeasureError(f"no right answer; last {last or 'nothing'}; it said: {' / '.join(said)[-400:]}")


def _free_ports() -> tuple[int, int, int]:
    sockets = [socket.socket() for _ in range(3)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    first, second, third = (each.getsockname()[1] for each in sockets)
    for each in sockets:
        each.close()
    return first, second, third

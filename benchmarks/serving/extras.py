"""What only Bonafide is asked: cost of explaining, overhead of one request, memory over many."""

import re
import urllib.request
from collections.abc import Mapping
from statistics import median
from typing import Any

from benchmarks.serving import figures
from benchmarks.serving.measure import MEBIBYTE, Cores, visit
from benchmarks.serving.subject import Subject
from benchmarks.serving.systems import SYSTEMS, System
from bonafide.progress import Advance

POINTS = 10
ROUNDS = 5
LONGEST_SECONDS = 3600.0
STAGE = re.compile(r'^bonafide_stage_seconds_(sum|count)\{.*stage="(\w+)".*\} (\S+)$', re.MULTILINE)


def explaining(subject: Subject, cores: Cores, seconds: float) -> dict[str, float]:
    """Median milliseconds of ``POST /predict`` and ``POST /predict/explain``, asked in turn by one client."""
    found: dict[str, list[float]] = {"predict": [], "predict/explain": []}
    with visit(_named("Bonafide service API"), subject, cores) as visited:
        root = visited.order.url.removesuffix("predict")
        for _ in range(ROUNDS):
            for path, latencies in found.items():
                outcome = visited.send(url=root + path, seconds=seconds / ROUNDS, warm_seconds=0.2)
                latencies.extend(outcome["latencies"])
    predict, explain = (1000 * median(latencies) for latencies in found.values())
    return {"predict_ms": predict, "explain_ms": explain, "more": explain / predict - 1}


def overhead(subject: Subject, cores: Cores, requests: int) -> dict[str, float]:
    """What is neither decoding nor inference of one client's requests, one after another, in milliseconds.

    The total is the client's median; decoding and inference are the means that the server's own histograms
    gained meanwhile.
    """
    with visit(_named("Bonafide, REST binary"), subject, cores) as visited:
        visited.send(seconds=LONGEST_SECONDS, count=requests // 10)
        before = _stages(visited.order.url)
        outcome = visited.send(seconds=LONGEST_SECONDS, count=requests)
        after = _stages(visited.order.url)
    stages = {
        stage: 1000
        * (after["sum", stage] - before["sum", stage])
        / (after["count", stage] - before["count", stage])
        for stage in ("decode", "infer")
    }
    total = 1000 * median(outcome["latencies"])
    parts = {f"{stage}_ms": value for stage, value in stages.items()}
    return {"total_ms": total, **parts, "overhead_ms": total - sum(stages.values())}


def soak(subject: Subject, cores: Cores, requests: int, advance: Advance) -> dict[str, Any]:
    """Resident memory after each tenth of so many requests, and its slope from the third point on."""
    memory: list[float] = []
    failed = 0
    with visit(_named("Bonafide, REST binary"), subject, cores) as visited:
        for _ in range(POINTS):
            outcome = visited.send(seconds=LONGEST_SECONDS, clients=8, count=requests // POINTS)
            failed += figures.failed(outcome)
            memory.append(visited.running.rss() / MEBIBYTE)
            advance(requests // POINTS, f"{memory[-1]:.0f} MiB")
    done = [requests / POINTS * (point + 1) for point in range(POINTS)]
    per_request = figures.slope(done[2:], memory[2:]) * MEBIBYTE
    return {"requests": requests, "failed": failed, "mib": memory, "bytes_per_request": per_request}


def _named(name: str) -> System:
    return next(system for system in SYSTEMS if system.name == name)


def _stages(url: str) -> Mapping[tuple[str, str], float]:
    root = url.split("/v2/")[0]
    with urllib.request.urlopen(f"{root}/metrics") as answer:
        text = answer.read().decode()
    return {(kind, stage): float(value) for kind, stage, value in STAGE.findall(text)}

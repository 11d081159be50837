"""docs/benchmarks/rows.md and its figures as JSON."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.rows.systems import API, OURS
from benchmarks.serving.page import DOCS, sentence, table, without_infinity
from benchmarks.serving.promises import Promise
from bonafide.files import write_json, write_text

TEMPLATE = (Path(__file__).parent / "page.md").read_text()
P50_MS = 3
RATE = 1500
COLUMNS = ("server", "clients", "requests/s", "p50 ms", "p95 ms", "p99 ms", "cores busy", "CPU ms", "failed")

Results = Mapping[str, Any]


def write(results: Results) -> None:
    """Write both."""
    write_json(DOCS / "rows.json", without_infinity(results))
    write_text(DOCS / "rows.md", page(results))


def page(results: Results) -> str:
    """The page."""
    kept = [(each.promised, each.measured, "yes" if each.kept else "**no**") for each in promises(results)]
    return TEMPLATE.format(
        systems=servers(results),
        repeats=len(results["limits"]),
        seconds=results["seconds"],
        limit=median(results["limits"]),
        promises=table(("promise", "measured", "kept"), kept),
        absent="\n".join(f"- {name}: {why}" for name, why in results["absent"].items()) or "None.",
        machine=sentence(results["machine"]),
    )


def servers(results: Results) -> str:
    """One row a server and number of clients."""
    rows = []
    for name, visits in results["systems"].items():
        for clients in visits[0]:
            rate, busy = (_median(visits, clients, figure) for figure in ("rate", "cores"))
            times = [_median(visits, clients, f"p{share}_ms") for share in (50, 95, 99)]
            failed = sum(visit[clients]["failed"] for visit in visits)
            told = (f"{value:.2f}" for value in (*times, busy, 1000 * busy / rate))
            rows.append((name, clients, f"{rate:,.0f}", *told, f"{failed:,}"))
    return table(COLUMNS, rows)


def promises(results: Results) -> Iterator[Promise]:
    """Those for which there are measurements."""
    best = {name: _best(visits) for name, visits in results["systems"].items()}
    for name in (OURS, API):
        if name in best:
            p50 = _median(results["systems"][name], "1", "p50_ms")
            yield Promise(f"{name}: p50 of one answer under {P50_MS} ms", f"{p50:.2f} ms", p50 < P50_MS)
            measured = f"{best[name]:,.0f}"
            yield Promise(f"{name}: at least {RATE:,} requests/s", measured, best[name] >= RATE)
    for name, rate in best.items():
        if name not in (OURS, API) and OURS in best:
            ratio = best[OURS] / rate
            yield Promise(f"{OURS}: more requests/s than {name}", f"{ratio:.2f} ×", ratio > 1)


def _best(visits: list[Results]) -> float:
    return max(_median(visits, clients, "rate") for clients in visits[0])


def _median(visits: list[Results], clients: str, figure: str) -> float:
    return median(visit[clients][figure] for visit in visits)

"""What was promised of serving, held against what was measured."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.serving.measure import RATE

Results = Mapping[str, Any]

OURS = "Bonafide, REST binary"
P95_MS = 150
CPU_SHARE = 0.75
LIMIT_SHARES = {
    OURS: 0.92,
    "Bonafide, gRPC": 0.88,
    "Bonafide, REST base64": 0.88,
    "Bonafide service API": 0.88,
}
IDLE_MIB = 250
OVERHEAD_MS = 1.5
EXPLAIN_SHARE = 0.1
GROWTH_BYTES = 100


@dataclass(frozen=True)
class Promise:
    """``kept`` tells whether ``measured`` is what ``promised`` says."""

    promised: str
    measured: str
    kept: bool


def promises(results: Results) -> Iterator[Promise]:
    """Those for which there are measurements."""
    systems = results["systems"]
    for name, least in LIMIT_SHARES.items():
        if found := systems.get(name):
            share = found["share"]
            yield Promise(f"{name}: at least {least:.0%} of the bare loop", f"{share:.2%}", share >= least)
    if ours := systems.get(OURS):
        yield from _of_ours(ours, results["machine"]["server_cores"])
        yield from _against_peers(ours, {name: found for name, found in systems.items() if not found["ours"]})
    yield from _of_extras(results["extras"])


def _of_ours(ours: Results, cores: int) -> Iterator[Promise]:
    fixed = ours["fixed"]
    at = f"at {RATE:g} requests/s"
    yield Promise(f"p95 of at most {P95_MS} ms {at}", f"{fixed['p95_ms']:.0f} ms", fixed["p95_ms"] <= P95_MS)
    yield Promise(f"no failure {at}", f"{fixed['failed']} of {fixed['sent']}", fixed["failed"] == 0)
    busy = fixed["cores"] / cores
    yield Promise(f"mean CPU of at most {CPU_SHARE:.0%} {at}", f"{busy:.0%}", busy <= CPU_SHARE)
    idle = ours["idle_mib"]
    yield Promise(f"idle memory under {IDLE_MIB} MB", f"{idle * 1.048576:.0f} MB", idle * 1.048576 < IDLE_MIB)


def _against_peers(ours: Results, peers: Mapping[str, Results]) -> Iterator[Promise]:
    if not peers:
        return
    name, best = max(peers.items(), key=lambda item: item[1]["rate"])
    ratio = ours["rate"] / best["rate"]
    yield Promise("more throughput than every peer", f"{ratio:.2f} × {name}", ratio > 1)
    name, best = min(peers.items(), key=lambda item: item[1]["fixed"]["p95_ms"])
    ratio = ours["fixed"]["p95_ms"] / best["fixed"]["p95_ms"]
    yield Promise("lower p95 than every peer", f"{ratio:.2f} × {name}", ratio < 1)


def _of_extras(extras: Results) -> Iterator[Promise]:
    if "overhead" in extras:
        spent = extras["overhead"]["overhead_ms"]
        yield Promise(f"overhead of a request under {OVERHEAD_MS} ms", f"{spent:.2f} ms", spent < OVERHEAD_MS)
    if "explain" in extras:
        more = extras["explain"]["more"]
        yield Promise(
            f"explaining costs under {EXPLAIN_SHARE:.0%} more", f"{more:+.1%}", more < EXPLAIN_SHARE
        )
    if "soak" in extras:
        found = extras["soak"]
        grown, count = found["bytes_per_request"], found["requests"]
        kept = grown < GROWTH_BYTES and not found["failed"]
        yield Promise(f"no growth over {count:,} requests", f"{grown:+.0f} bytes a request", kept)

"""docs/benchmarks/serving.md, its plot and the figures as JSON."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.serving.promises import OURS, promises
from bonafide.files import write_json, write_text

LONGEST_MS = 10_000
DOCS = Path("docs/benchmarks")
TEMPLATE = (Path(__file__).parent / "page.md").read_text()

Results = Mapping[str, Any]
Rows = Sequence[tuple[str, ...]]


def write(results: Results) -> None:
    """Write all three."""
    DOCS.mkdir(parents=True, exist_ok=True)
    write_json(DOCS / "serving.json", without_infinity(results))
    _plot(results, DOCS / "serving.svg")
    write_text(DOCS / "serving.md", page(results))


def page(results: Results) -> str:
    """The page."""
    kept = [(each.promised, each.measured, "yes" if each.kept else "**no**") for each in promises(results)]
    return TEMPLATE.format(
        machine=sentence(results["machine"]),
        settings=results["settings"],
        limit=table(("bare loop", "images/s"), limit_rows(results)),
        systems=table(SYSTEM_COLUMNS, system_rows(results)),
        promises=table(("promise", "measured", "kept"), kept),
        extras=table(("", ""), list(_extras(results["extras"]))),
        absent="\n".join(f"- {name}: {why}" for name, why in results["absent"].items()) or "None.",
    )


SYSTEM_COLUMNS = (
    "server",
    "requests/s",
    "÷ limit",
    "of its repeats",
    "Bonafide ÷ it",
    "p50 ms",
    "p95 ms",
    "p99 ms",
    "failed",
    "CPU",
    "idle MiB",
    "peak MiB",
)


def limit_rows(results: Results) -> Rows:
    """The bare loops, and what one image costs."""
    limit = results["limit"]
    rows = [(name, f"{rate:.1f}") for name, rate in limit["loops"].items()]
    return [*rows, ("**decoding and inference, the limit**", f"**{limit['decode_and_run']:.1f}**")]


def system_rows(results: Results) -> Rows:
    """One row a server, in the order of measurement."""
    ours = results["systems"].get(OURS)
    cores = results["machine"]["server_cores"]
    rows = []
    for name, found in results["systems"].items():
        fixed = found["fixed"]
        rows.append(
            (
                name,
                f"{found['rate']:.1f}",
                f"{found['share']:.2f}",
                f"{min(found['shares']):.2f} to {max(found['shares']):.2f}"
                if len(found["shares"]) > 1
                else "",
                f"{ours['rate'] / found['rate']:.2f}" if ours and found["rate"] else "",
                *(_milliseconds(fixed[f"p{share}_ms"]) for share in (50, 95, 99)),
                f"{fixed['failed'] / fixed['sent']:.1%}" if fixed["failed"] else "0",
                f"{fixed['cores'] / cores:.0%}",
                f"{found['idle_mib']:.0f}",
                f"{found['peak_mib']:.0f}",
            )
        )
    return rows


def _spread(shares: Sequence[float]) -> str:
    return f"{min(shares):.2f} to {max(shares):.2f}" if len(shares) > 1 else ""


def _milliseconds(value: float) -> str:
    return f"{value:.0f}" if math.isfinite(value) else "unanswered"


def _extras(extras: Results) -> Iterator[tuple[str, str]]:
    if found := extras.get("overhead"):
        yield "64 px, one request at a time, median total", f"{found['total_ms']:.2f} ms"
        yield "of which decoding and inference", f"{found['decode_ms']:.2f} + {found['infer_ms']:.2f} ms"
        yield "overhead", f"{found['overhead_ms']:.2f} ms"
    if found := extras.get("explain"):
        yield "`POST /predict`, median", f"{found['predict_ms']:.1f} ms"
        yield "`POST /predict/explain`, median", f"{found['explain_ms']:.1f} ms ({found['more']:+.1%})"
    if found := extras.get("soak"):
        points = ", ".join(f"{value:.0f}" for value in found["mib"])
        yield f"MiB after each tenth of {found['requests']:,} requests", points
        yield "growth", f"{found['bytes_per_request']:+.0f} bytes a request"


def table(columns: tuple[str, ...], rows: Rows) -> str:
    """In Markdown."""
    lines = [columns, ("---",) * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def sentence(machine: Results) -> str:
    """What :func:`benchmarks.serving.machine.describe` found."""
    shared = (
        ""
        if machine["load_apart"]
        else " The load generator shares the server's cores, which costs the servers."
    )
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return (
        f"{machine['cpu']}, cores: {machine['cores']}, of which servers have {machine['server_cores']} to "
        f"themselves; {machine['memory_gib']:.0f} GiB.{shared} {versions}."
    )


def without_infinity(value: Any) -> Any:
    """The same for JSON, which has no infinity: null is a percentile that was never answered."""
    if isinstance(value, Mapping):
        return {name: without_infinity(part) for name, part in value.items()}
    if isinstance(value, list):
        return [without_infinity(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _plot(results: Results, path: Path) -> None:
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "bonafide"
    from matplotlib import pyplot

    systems = results["systems"]
    names = list(systems)[::-1]
    colours = ["#00796b" if systems[name]["ours"] else "#9e9e9e" for name in names]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 0.42 * len(names) + 1.4), sharey=True)
    left.barh(names, [systems[name]["rate"] for name in names], color=colours)
    left.axvline(results["limit"]["decode_and_run"], color="black", linestyle="--", linewidth=1)
    left.set_title("requests/s at saturation (dashed: bare loop)", fontsize=10)
    p95 = [min(systems[name]["fixed"]["p95_ms"], LONGEST_MS) for name in names]
    right.barh(names, p95, color=colours)
    right.set_xscale("log")
    right.set_title("p95 in ms at 50 requests/s (log)", fontsize=10)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)

"""Draw the dashboards without Grafana, a page for each, from what their questions are answered:

python -m infra.monitoring.look FOLDER --prometheus http://127.0.0.1:9090 --store postgresql://…
"""

import argparse
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import cycle
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib import rc_context
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, Formatter, FuncFormatter, PercentFormatter

from bonafide.evaluation.plots import MUTED, SERIES, STYLE, svg
from bonafide.files import write_text
from infra.monitoring.panels.parts import BYTES, PLAIN, POSTGRES, PROMETHEUS, RATE, SECONDS, SHARE, YES
from infra.monitoring.sources import PostgreSql, Prometheus, Series, Source

FOLDER = Path(__file__).parent
FORMATS: Mapping[str, Formatter] = {
    SHARE: PercentFormatter(1),
    SECONDS: FuncFormatter(lambda value, _: _duration(value)),
    BYTES: EngFormatter("B"),
    RATE: FuncFormatter(lambda value, _: f"{value:,.6g}/s"),
    PLAIN: FuncFormatter(lambda value, _: f"{value:,.6g}"),
    YES: FuncFormatter(lambda value, _: {0: "no", 1: "yes"}.get(value, "")),
}
FEW, LEGENDS = 40, 12
"""Points that are shown one by one; lines that the legend names."""


def main() -> None:
    """Write the pages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--prometheus", default="")
    parser.add_argument("--store", default="", help="a PostgreSQL with predictions and feedback")
    parser.add_argument("--hours", type=float, default=24)
    parser.add_argument("--until", type=datetime.fromisoformat, default=datetime.now(UTC))
    given = parser.parse_args()
    span = (given.until - timedelta(hours=given.hours), given.until)
    sources: dict[str, Source] = {}
    if given.prometheus:
        sources[PROMETHEUS] = Prometheus(given.prometheus, *span)
    if given.store:
        sources[POSTGRES] = PostgreSql(given.store, *span)
    for path in look(given.folder, sources, span):
        sys.stdout.write(f"wrote {path}\n")


def look(folder: Path, sources: Mapping[str, Source], span: tuple[datetime, datetime]) -> Iterator[Path]:
    """Write a page for each dashboard whose source is there."""
    environment = Environment(loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined)
    for file in sorted((FOLDER / "dashboards").glob("*.json")):
        dashboard = json.loads(file.read_text())
        if source := sources.get(dashboard["panels"][0]["datasource"]["type"]):
            panels = list(_panels(dashboard, source, span))
            page = environment.get_template("look.html").render(
                title=dashboard["title"], panels=panels, span=[f"{each:%Y-%m-%d %H:%M}" for each in span]
            )
            write_text(folder / f"{file.stem}.html", page)
            yield folder / f"{file.stem}.html"


def _panels(dashboard: Any, source: Source, span: tuple[datetime, datetime]) -> Iterator[Mapping[str, Any]]:
    variables = [each for each in dashboard["templating"]["list"] if each["type"] == "query"]
    chosen = {each["name"]: source.choices(each["query"]) for each in variables}
    for panel in dashboard["panels"]:
        told = {"title": panel["title"], **panel["gridPos"], "graph": "", "rows": []}
        if panel["type"] == "table":
            rows = [row for target in panel["targets"] for row in source.table(target, chosen)]
            yield told | {"rows": [_shown(row, panel["transformations"]) for row in rows]}
        else:
            found = [line for target in panel["targets"] for line in source.graph(target, chosen)]
            yield told | {"graph": _graph(found, panel["fieldConfig"]["defaults"]["unit"], span)}


def _shown(row: Mapping[str, Any], transformations: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Without the columns that the panel leaves out, others renamed."""
    for each in transformations:
        left_out, names = each["options"]["excludeByName"], each["options"]["renameByName"]
        row = {names.get(name, name): value for name, value in row.items() if not left_out.get(name)}
    return dict(row)


def _graph(found: Sequence[Series], unit: str, span: tuple[datetime, datetime]) -> str:
    """Empty where there is nothing to see."""
    highest = max((each for line in found for each in line.values if math.isfinite(each)), default=None)
    if highest is None:
        return ""
    styles = cycle({"color": colour, "ls": dash} for dash in ("-", "--", ":") for colour in SERIES)
    with rc_context(STYLE | {"ytick.labelcolor": MUTED}):
        figure = Figure((6.4, 3.2), layout="constrained")
        axes = figure.subplots()
        for line, style in zip(found, styles, strict=False):
            marker = "o" if len(line.values) < FEW else ""
            axes.plot(line.times, line.values, **style, marker=marker, ms=3, lw=1.5, label=line.name)
        axes.set(xlim=span, ylim=(0, 1.08 * highest or 1))
        days = AutoDateLocator(minticks=3, maxticks=8)
        axes.xaxis.set(major_locator=days, major_formatter=ConciseDateFormatter(days, show_offset=False))
        axes.yaxis.set_major_formatter(FORMATS[unit])
        handles, names = axes.get_legend_handles_labels()
        figure.legend(handles[:LEGENDS], names[:LEGENDS], loc="outside lower left", ncols=3, fontsize=8)
        return svg(figure)


def _duration(seconds: float) -> str:
    if not seconds:
        return "0 s"
    sizes = ((3600, "h"), (60, "min"), (1, "s"))
    size, name = next((each for each in sizes if seconds >= 2 * each[0]), (0.001, "ms"))
    return f"{seconds / size:.3g} {name}"


if __name__ == "__main__":
    main()

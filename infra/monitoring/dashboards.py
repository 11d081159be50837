"""The dashboards of Grafana; ``infra.monitoring.generate`` writes them to ``dashboards/*.json``."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import prometheus, table, timeseries
from grafana_foundation_sdk.builders.common import VizLegendOptions
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models.common import LegendDisplayMode, LegendPlacement
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    DataTransformerConfig,
    VariableRefresh,
    VariableSort,
)

from infra.monitoring.panels import ALL
from infra.monitoring.panels.parts import HEIGHT, POSTGRES, PROMETHEUS, WIDTH, Dashboard, Panel

# What Prometheus adds to each row of a table.
COLUMNS = {"excludeByName": {"Time": True}, "renameByName": {"Value": "pods"}}


def files() -> Iterator[tuple[str, str]]:
    """The name of each file and what it has to hold."""
    for each in ALL:
        text = JSONEncoder(sort_keys=True, indent=2, ensure_ascii=False).encode(_dashboard(each).build())
        yield f"{each.title.lower()}.json", text + "\n"


@dataclass
class Sql(Dataquery, Builder[Dataquery]):
    """A question to PostgreSQL, which the library does not know."""

    sql: str
    letter: str
    is_table: bool

    def build(self) -> Self:
        """Itself."""
        return self

    def to_json(self) -> dict[str, object]:
        """As Grafana's own editor saves it."""
        return {
            "datasource": {"type": POSTGRES, "uid": "${source}"},
            "editorMode": "code",
            "format": "table" if self.is_table else "time_series",
            "rawQuery": True,
            "rawSql": self.sql,
            "refId": self.letter,
        }


def _dashboard(told: Dashboard) -> builders.Dashboard:
    made = (
        builders.Dashboard(f"Bonafide: {told.title}")
        .uid(f"bonafide-{told.title.lower()}")
        .tags(["bonafide"])
        .time("now-24h" if told.source == PROMETHEUS else "now-30d", "now")
        .refresh("1m")
        .timezone("browser")
        .with_variable(builders.DatasourceVariable("source").label("Source").type(told.source))
    )
    for name, query in told.variables.items():
        made = made.with_variable(
            builders.QueryVariable(name)
            .label(name.capitalize())
            .datasource(_source(told))
            .query(query)
            .multi(True)
            .include_all(True)
            .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
            .sort(VariableSort.ALPHABETICAL_ASC)
        )
    for number, panel in enumerate(told.panels, start=1):
        made = made.with_panel(_panel(panel, told).id(number))
    return made


def _panel(panel: Panel, told: Dashboard) -> table.Panel | timeseries.Panel:
    if panel.unit:
        legend = VizLegendOptions().show_legend(True).display_mode(LegendDisplayMode.LIST)
        below = legend.placement(LegendPlacement.BOTTOM)
        made = timeseries.Panel().unit(panel.unit).min(0).fill_opacity(10).legend(below)
    else:
        made = table.Panel().show_header(True)
        if told.source == PROMETHEUS:
            made = made.with_transformation(DataTransformerConfig("organize", options=COLUMNS))
    made = made.title(panel.title).span(WIDTH).height(HEIGHT).datasource(_source(told))
    for letter, (legend, query) in zip("ABCDEFGH", panel.queries.items(), strict=False):
        made = made.with_target(_target(query, legend, letter, not panel.unit, told))
    return made


def _target(query: str, legend: str, letter: str, is_table: bool, told: Dashboard) -> Builder[Dataquery]:
    if told.source == POSTGRES:
        return Sql(query, letter, is_table)
    target = prometheus.Dataquery().expr(query).ref_id(letter).legend_format(legend)
    return target.instant().format("table") if is_table else target.range()


def _source(told: Dashboard) -> DataSourceRef:
    return DataSourceRef(told.source, "${source}")

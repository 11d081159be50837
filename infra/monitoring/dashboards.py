"""The dashboards of Grafana; ``infra.monitoring.generate`` writes them to ``dashboards/*.json``."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Self

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

PROMETHEUS, POSTGRES = "prometheus", "grafana-postgresql-datasource"
WIDTH, HEIGHT = 12, 8
SHARE, SECONDS, BYTES, RATE, PLAIN, YES = "percentunit", "s", "bytes", "reqps", "short", "bool_yes_no"
# What a reader chooses at the top of a dashboard.
OURS = 'namespace=~"$namespace",model=~"$model"'
TASK = 'task=~"$task"'
SPACE = 'namespace=~"$namespace"'
EVERY = "[$__rate_interval]"
# What Prometheus adds to each row of a table.
COLUMNS = {"excludeByName": {"Time": True}, "renameByName": {"Value": "pods"}}


class Panel(NamedTuple):
    """A graph, or a table where ``unit`` is empty: a question for each legend."""

    title: str
    unit: str
    queries: dict[str, str]


class Dashboard(NamedTuple):
    """Panels, two in a row, and by the name of a variable the question that lists its values."""

    title: str
    variables: dict[str, str]
    panels: tuple[Panel, ...]
    source: str = PROMETHEUS


def _rate(metric: str, by: str, only: str = OURS, over: str = EVERY) -> str:
    return f"sum by ({by}) (rate({metric}{{{only}}}{over}))"


def _per(part: str, whole: str, *by: str) -> str:
    """Per second of both, divided."""
    return f"{_rate(part, ', '.join(by))} / {_rate(whole, ', '.join(by))}"


def _quantile(share: float, metric: str, by: str, only: str = OURS) -> str:
    return f"histogram_quantile({share}, {_rate(f'{metric}_bucket', f'{by}le', only)})"


NAMESPACE = 'label_values(up{namespace=~"bonafide.*"}, namespace)'
MODELS = {"namespace": NAMESPACE, "model": "label_values(bonafide_model_info, model)"}
TASKS = {"task": "label_values(bonafide_drift_checked_timestamp_seconds, task)"}
TOTAL = f'{OURS},stage="total"'
DAILY = "SELECT DISTINCT task FROM prediction ORDER BY task"

SERVICE = Dashboard(
    "Service",
    MODELS,
    (
        Panel("Requests by how they end", RATE, {"{{outcome}}": _rate("bonafide_requests_total", "outcome")}),
        Panel("Requests by version", RATE, {"{{version}}": _rate("bonafide_requests_total", "version")}),
        Panel(
            "Share of requests that fail or are turned away",
            SHARE,
            {
                outcome: _rate("bonafide_requests_total", "model", f'{OURS},outcome="{outcome}"')
                + " / "
                + _rate("bonafide_requests_total", "model")
                for outcome in ("failed", "overloaded")
            },
        ),
        Panel(
            "Requests without an answer, by reason",
            RATE,
            {"{{reason}}": _rate("bonafide_errors_total", "reason")},
        ),
        Panel(
            "Time to answer",
            SECONDS,
            {
                f"{100 * share:g} % {{{{model}}}}": _quantile(
                    share, "bonafide_stage_seconds", "model, ", TOTAL
                )
                for share in (0.5, 0.95, 0.99)
            },
        ),
        Panel(
            "Mean time in each stage",
            SECONDS,
            {"{{stage}}": _per("bonafide_stage_seconds_sum", "bonafide_stage_seconds_count", "stage")},
        ),
        Panel(
            "How full the queues are",
            SHARE,
            {
                "{{pod}}": f"sum by (pod) (bonafide_queue_images{{{SPACE}}})"
                f" / sum by (pod) (bonafide_queue_limit_images{{{SPACE}}})"
            },
        ),
        Panel(
            "Requests at work", PLAIN, {"{{pod}}": f"sum by (pod) (bonafide_in_flight_requests{{{SPACE}}})"}
        ),
        Panel(
            "Service API: answers",
            RATE,
            {"{{status}}": _rate("bonafide_api_requests_total", "status", SPACE)},
        ),
        Panel(
            "Service API: time for 95 %",
            SECONDS,
            {"{{route}}": _quantile(0.95, "bonafide_api_request_seconds", "route, ", SPACE)},
        ),
        Panel(
            "Service API: refused by rate limits",
            RATE,
            {"{{by}}": _rate("bonafide_api_rate_limited_total", "by", SPACE)},
        ),
    ),
)

MODEL = Dashboard(
    "Model",
    MODELS,
    (
        Panel(
            "Versions that are loaded",
            "",
            {"": f"sum by (namespace, model, version, digest, architecture) (bonafide_model_info{{{OURS}}})"},
        ),
        Panel(
            "Packages that were loaded or refused, in a day",
            PLAIN,
            {"{{outcome}}": f"sum by (outcome) (increase(bonafide_model_loads_total{{{OURS}}}[1d]))"},
        ),
        Panel(
            "Share of each label",
            SHARE,
            {
                "{{label}}": f"{_rate('bonafide_predictions_total', 'label', over='[1h]')}"
                f" / on () group_left () {_rate('bonafide_predictions_total', '', over='[1h]')}"
            },
        ),
        Panel(
            "Share that is left to people",
            SHARE,
            {"{{label}}": _per("bonafide_uncertain_total", "bonafide_predictions_total", "label")},
        ),
        Panel(
            "Mean confidence",
            SHARE,
            {"{{version}}": _per("bonafide_confidence_sum", "bonafide_confidence_count", "version")},
        ),
        Panel(
            "Confidence that a part stays below",
            SHARE,
            {f"{100 * share:g} %": _quantile(share, "bonafide_confidence", "") for share in (0.1, 0.25, 0.5)},
        ),
        Panel(
            "Runs that were asked for", PLAIN, {"{{task}} {{state}}": "sum by (task, state) (bonafide_runs)"}
        ),
        Panel("The last run failed", YES, {"{{task}}": "max by (task) (bonafide_run_failed)"}),
        Panel(
            "Alerts that asked for a run, in a day",
            PLAIN,
            {"{{outcome}}": "sum by (outcome) (increase(bonafide_hook_alerts_total[1d]))"},
        ),
    ),
)

DRIFT = Dashboard(
    "Drift",
    TASKS,
    (
        Panel(
            "Score, as a part of the threshold",
            SHARE,
            {
                "{{task}} {{detector}}": f"max by (task, detector) (bonafide_drift_score{{{TASK}}})"
                f" / max by (task, detector) (bonafide_drift_threshold{{{TASK}}})"
            },
        ),
        Panel(
            "Drift was found",
            YES,
            {"{{task}} {{kind}}": f"max by (task, kind) (bonafide_drift_detected{{{TASK}}})"},
        ),
        Panel(
            "Score of each detector",
            PLAIN,
            {"{{task}} {{detector}}": f"max by (task, detector) (bonafide_drift_score{{{TASK}}})"},
        ),
        Panel(
            "Time since the last check",
            SECONDS,
            {"{{task}}": f"time() - max by (task) (bonafide_drift_checked_timestamp_seconds{{{TASK}}})"},
        ),
        Panel(
            "Predictions in the last check",
            PLAIN,
            {"{{task}}": f"max by (task) (bonafide_drift_compared_predictions{{{TASK}}})"},
        ),
        Panel(
            "Quality by confirmed feedback",
            SHARE,
            {"{{task}} {{metric}}": f"max by (task, metric) (bonafide_quality{{{TASK}}})"},
        ),
        Panel(
            "Feedback in a day",
            PLAIN,
            {"{{state}}": f"sum by (state) (increase(bonafide_feedback_total{{{TASK}}}[1d]))"},
        ),
        Panel(
            "Feedback that waits for a review",
            PLAIN,
            {"{{task}}": f"max by (task) (bonafide_feedback_waiting{{{TASK}}})"},
        ),
    ),
)

POD = f'{SPACE},container!=""'
INFRASTRUCTURE = Dashboard(
    "Infrastructure",
    {"namespace": NAMESPACE},
    (
        Panel("Targets that answer Prometheus", PLAIN, {"{{job}}": f"sum by (job) (up{{{SPACE}}})"}),
        Panel(
            "Restarts in an hour",
            PLAIN,
            {"{{pod}}": f"sum by (pod) (increase(kube_pod_container_status_restarts_total{{{SPACE}}}[1h]))"},
        ),
        Panel("Cores used", PLAIN, {"{{pod}}": _rate("container_cpu_usage_seconds_total", "pod", POD)}),
        Panel(
            "Memory, as a part of the limit",
            SHARE,
            {
                "{{pod}} {{container}}": (
                    f"max by (pod, container) (container_memory_working_set_bytes{{{POD}}}) / max by (pod, container) "
                    f'(kube_pod_container_resource_limits{{{SPACE},resource="memory"}})'
                )
            },
        ),
        Panel(
            "Memory of each process",
            BYTES,
            {"{{job}} {{instance}}": f"max by (job, instance) (process_resident_memory_bytes{{{SPACE}}})"},
        ),
        Panel(
            "Cores used by each process",
            PLAIN,
            {"{{job}} {{instance}}": _rate("process_cpu_seconds_total", "job, instance", SPACE)},
        ),
        Panel(
            "Open files and connections, as a part of the limit",
            SHARE,
            {
                "{{instance}}": f"max by (instance) (process_open_fds{{{SPACE}}})"
                f" / max by (instance) (process_max_fds{{{SPACE}}})"
            },
        ),
        Panel(
            "Replicas",
            PLAIN,
            {
                f"{{{{horizontalpodautoscaler}}}} {what}": f"max by (horizontalpodautoscaler) ({metric}{{{SPACE}}})"
                for what, metric in (
                    ("there are", "kube_horizontalpodautoscaler_status_current_replicas"),
                    ("at most", "kube_horizontalpodautoscaler_spec_max_replicas"),
                )
            },
        ),
        Panel(
            "Free part of each volume",
            SHARE,
            {
                "{{persistentvolumeclaim}}": (
                    f"max by (persistentvolumeclaim) (kubelet_volume_stats_available_bytes{{{SPACE}}})"
                    f" / max by (persistentvolumeclaim) (kubelet_volume_stats_capacity_bytes{{{SPACE}}})"
                )
            },
        ),
        Panel(
            "Predictions to be kept",
            RATE,
            {"{{outcome}}": _rate("bonafide_predictions_stored_total", "outcome", SPACE)},
        ),
        Panel(
            "Predictions that wait on disk",
            BYTES,
            {"{{pod}}": f"sum by (pod) (bonafide_store_spool_bytes{{{SPACE}}})"},
        ),
        Panel(
            "Images to be kept", RATE, {"{{outcome}}": _rate("bonafide_store_images_total", "outcome", SPACE)}
        ),
        Panel(
            "Events of the payload logger",
            RATE,
            {"{{outcome}}": _rate("bonafide_collected_events_total", "outcome", SPACE)},
        ),
        Panel(
            "Messages that were not delivered, in an hour",
            PLAIN,
            {
                "{{integration}}": "sum by (integration) (increase(alertmanager_notifications_failed_total[1h]))"
            },
        ),
    ),
)

JOINED = "FROM feedback f JOIN prediction p ON p.id = f.prediction_id WHERE p.task IN ($task)"
# Once for each prediction, however many people said it.
CONFIRMED = (
    "FROM (SELECT DISTINCT prediction_id, label FROM feedback WHERE state = 'confirmed') AS f "
    "JOIN prediction p ON p.id = f.prediction_id WHERE p.task IN ($task) AND $__timeFilter(p.time)"
)
FEEDBACK = Dashboard(
    "Feedback",
    {"task": DAILY},
    (
        Panel(
            "Predictions in an hour",
            PLAIN,
            {
                "": "SELECT date_trunc('hour', time) AS time, label AS metric, count(*) AS value FROM prediction "
                "WHERE task IN ($task) AND $__timeFilter(time) GROUP BY 1, 2 ORDER BY 1"
            },
        ),
        Panel(
            "Feedback in a day",
            PLAIN,
            {
                "": "SELECT date_trunc('day', f.time) AS time, f.state AS metric, count(*) AS value "
                f"{JOINED} AND $__timeFilter(f.time) GROUP BY 1, 2 ORDER BY 1"
            },
        ),
        Panel(
            "Right, by confirmed feedback, of the predictions of a day",
            SHARE,
            {
                "": "SELECT date_trunc('day', p.time) AS time, p.version AS metric, "
                "avg(CASE WHEN p.label = f.label THEN 1.0 ELSE 0.0 END) AS value "
                f"{CONFIRMED} GROUP BY 1, 2 ORDER BY 1"
            },
        ),
        Panel(
            "Rightly given, of each label",
            SHARE,
            {
                "": "SELECT date_trunc('day', p.time) AS time, p.label AS metric, "
                "avg(CASE WHEN p.label = f.label THEN 1.0 ELSE 0.0 END) AS value "
                f"{CONFIRMED} GROUP BY 1, 2 ORDER BY 1"
            },
        ),
        Panel(
            "What was answered, and what it was",
            "",
            {
                "": f"SELECT p.label AS answered, f.label AS truth, count(*) AS images {CONFIRMED} "
                "GROUP BY 1, 2 ORDER BY 3 DESC"
            },
        ),
        Panel(
            "Feedback that waits for review",
            "",
            {
                "": "SELECT p.task, count(*) AS waiting, min(f.time) AS oldest "
                f"{JOINED} AND f.state = 'new' GROUP BY 1 ORDER BY 1"
            },
        ),
        Panel(
            "Reviewers who agree, of the images that several saw",
            SHARE,
            {
                "": "SELECT date_trunc('day', time) AS time, 'agreement' AS metric, "
                "avg(CASE WHEN labels = 1 THEN 1.0 ELSE 0.0 END) AS value FROM (SELECT p.id, p.time, "
                f"count(DISTINCT f.label) AS labels {JOINED} AND f.state != 'rejected' AND $__timeFilter(p.time) "
                "GROUP BY p.id, p.time HAVING count(DISTINCT f.reviewer) > 1) AS seen GROUP BY 1 ORDER BY 1"
            },
        ),
        Panel(
            "Time to review, half of them",
            SECONDS,
            {
                "": "SELECT date_trunc('day', f.time) AS time, p.task AS metric, percentile_cont(0.5) WITHIN GROUP "
                "(ORDER BY extract(epoch FROM f.decided - f.time)) AS value "
                f"{JOINED} AND f.decided IS NOT NULL AND $__timeFilter(f.time) GROUP BY 1, 2 ORDER BY 1"
            },
        ),
    ),
    POSTGRES,
)

ALL = (SERVICE, MODEL, DRIFT, INFRASTRUCTURE, FEEDBACK)


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

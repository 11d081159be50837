"""What dashboards are made of: panels, the choices at their top, and questions to Prometheus."""

from typing import NamedTuple

PROMETHEUS, POSTGRES = "prometheus", "grafana-postgresql-datasource"
WIDTH, HEIGHT = 12, 8
SHARE, SECONDS, BYTES, RATE, PLAIN, YES = "percentunit", "s", "bytes", "reqps", "short", "bool_yes_no"
# What a reader chooses at the top of a dashboard.
OURS = 'namespace=~"$namespace",model=~"$model"'
TASK = 'task=~"$task"'
SPACE = 'namespace=~"$namespace"'
EVERY = "[$__rate_interval]"


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


def rate(metric: str, by: str, only: str = OURS, over: str = EVERY) -> str:
    """Per second, summed by these labels."""
    return f"sum by ({by}) (rate({metric}{{{only}}}{over}))"


def per(part: str, whole: str, *by: str) -> str:
    """Per second of both, divided."""
    return f"{rate(part, ', '.join(by))} / {rate(whole, ', '.join(by))}"


def quantile(share: float, metric: str, by: str, only: str = OURS) -> str:
    """Below which that share lies."""
    return f"histogram_quantile({share}, {rate(f'{metric}_bucket', f'{by}le', only)})"


NAMESPACE = 'label_values(up{namespace=~"bonafide.*"}, namespace)'
MODELS = {"namespace": NAMESPACE, "model": "label_values(bonafide_model_info, model)"}
TASKS = {"task": "label_values(bonafide_drift_checked_timestamp_seconds, task)"}
TOTAL = f'{OURS},stage="total"'
DAILY = "SELECT DISTINCT task FROM prediction ORDER BY task"

"""Which metrics and labels an expression of PromQL names, and which there are."""

import re
from collections.abc import Iterator, Mapping, Set

import promql_parser
from prometheus_client.metrics import Counter, Histogram, MetricWrapperBase
from promql_parser import AggregateExpr, BinaryExpr, Expr, MatrixSelector, VectorSelector

from bonafide.telemetry import metrics

# What says where a series was scraped: of the Prometheus operator, and of infra/monitoring/predictors.yaml.
TARGET = {"namespace", "pod", "container", "endpoint", "job", "instance", "inferenceservice", "predictor"}
# Metrics that others emit, with the labels that are used here: Prometheus itself, its client in each process,
# kube-state-metrics, the kubelet with its cAdvisor, Alertmanager.
OTHERS: Mapping[str, Set[str]] = {
    "up": TARGET,
    "process_open_fds": TARGET,
    "process_max_fds": TARGET,
    "process_resident_memory_bytes": TARGET,
    "process_cpu_seconds_total": TARGET,
    "container_memory_working_set_bytes": {"namespace", "pod", "container"},
    "container_cpu_usage_seconds_total": {"namespace", "pod", "container"},
    "kube_pod_container_resource_limits": {"namespace", "pod", "container", "resource"},
    "kube_pod_container_status_restarts_total": {"namespace", "pod", "container"},
    "kube_horizontalpodautoscaler_status_current_replicas": {"namespace", "horizontalpodautoscaler"},
    "kube_horizontalpodautoscaler_spec_max_replicas": {"namespace", "horizontalpodautoscaler"},
    "kubelet_volume_stats_available_bytes": {"namespace", "persistentvolumeclaim"},
    "kubelet_volume_stats_capacity_bytes": {"namespace", "persistentvolumeclaim"},
    "alertmanager_notifications_failed_total": {"integration"},
}
VALUES = {
    ("bonafide_requests", "outcome"): metrics.OUTCOMES,
    ("bonafide_requests", "protocol"): metrics.PROTOCOLS,
    ("bonafide_stage_seconds", "stage"): metrics.STAGES,
}


def declared() -> dict[str, MetricWrapperBase]:
    """What telemetry declares, by the name in the code."""
    return {name: found for name, found in vars(metrics).items() if isinstance(found, MetricWrapperBase)}


def emitted() -> dict[str, Set[str]]:
    """The labels of every series by its name."""
    ours = {name: labels for metric in declared().values() for name, labels in series(metric)}
    return {**OTHERS, **ours}


def series(metric: MetricWrapperBase) -> Iterator[tuple[str, Set[str]]]:
    """The series that Prometheus makes of a metric."""
    name, labels = metrics.name(metric), {*metric._labelnames, *TARGET}
    if isinstance(metric, Histogram):
        yield f"{name}_bucket", labels | {"le"}
        yield from ((f"{name}_{ending}", labels) for ending in ("sum", "count"))
    else:
        yield f"{name}_total" if isinstance(metric, Counter) else name, labels


def selectors(expression: Expr) -> list[VectorSelector]:
    """Every selector within an expression."""
    found = []

    def visit(node: Expr) -> None:
        if isinstance(node, MatrixSelector):
            found.append(node.vector_selector)
        elif isinstance(node, VectorSelector):
            found.append(node)

    promql_parser.walk(expression, visit)
    return list({str(each): each for each in found}.values())


def complaints(query: str, known: Mapping[str, Set[str]]) -> list[str]:
    """What an expression names and nothing emits."""
    expression, told = promql_parser.parse(query), []

    def visit(node: Expr) -> None:
        if isinstance(node, VectorSelector | MatrixSelector):
            told.extend(_of_selector(getattr(node, "vector_selector", node), known))
        elif isinstance(node, AggregateExpr | BinaryExpr):
            labels = set(_grouped(node))
            told.extend(
                f"{each.name} has no label {sorted(missing)}"
                for each in selectors(node)
                if (missing := labels - known.get(each.name, labels))
            )

    promql_parser.walk(expression, visit)
    return sorted(set(told))


def _of_selector(selector: VectorSelector, known: Mapping[str, Set[str]]) -> Iterator[str]:
    if selector.name not in known:
        yield f"nothing emits {selector.name}"
        return
    family = re.sub("_(total|bucket|sum|count)$", "", selector.name)
    for matcher in selector.matchers.matchers:
        if matcher.name not in known[selector.name]:
            yield f"{selector.name} has no label {matcher.name}"
        values = VALUES.get((family, matcher.name))
        if values and (missing := set(matcher.value.split("|")) - set(values)):
            yield f"{selector.name} has no {matcher.name} {sorted(missing)}"


def _grouped(node: AggregateExpr | BinaryExpr) -> list[str]:
    """The labels of ``by`` or ``on``."""
    modifier = node.modifier if isinstance(node, AggregateExpr) else node.modifier and node.modifier.matching
    return list(modifier.labels) if modifier else []

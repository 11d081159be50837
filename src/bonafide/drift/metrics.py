"""A check's outcome for Prometheus, as a text file: node-exporter's collector or a push takes it as it is."""

import math
import time

from prometheus_client import CollectorRegistry, generate_latest

from bonafide.drift.check import Found
from bonafide.telemetry import metrics

EVERY = (
    metrics.DRIFT_SCORE,
    metrics.DRIFT_THRESHOLD,
    metrics.DRIFT_DETECTED,
    metrics.DRIFT_COMPARED,
    metrics.DRIFT_CHECKED,
)


def exposition(found: Found) -> str:
    """The drift metrics of one check, and nothing else of this process."""
    registry = CollectorRegistry()
    for metric in EVERY:
        metric.clear()
        registry.register(metric)
    judged = found.judgement
    for each in judged.detectors:
        if each.adjusted is not None:
            labels = (found.task, each.name)
            metrics.DRIFT_SCORE.labels(*labels).set(math.log10(1 / each.adjusted))
            metrics.DRIFT_THRESHOLD.labels(*labels).set(math.log10(1 / found.alpha))
    for kind in ("looks", "mix"):
        metrics.DRIFT_DETECTED.labels(found.task, kind).set(judged.kind == kind)
    metrics.DRIFT_COMPARED.labels(found.task).set(found.compared)
    metrics.DRIFT_CHECKED.labels(found.task).set(time.time())
    return generate_latest(registry).decode()

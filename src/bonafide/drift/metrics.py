"""A check's outcome for Prometheus, as a text file: node-exporter's collector or a push takes it as it is."""

import math

from prometheus_client import CollectorRegistry, generate_latest

from bonafide.drift.check import Found
from bonafide.feedback.inspections import Inspection, show
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
    show(inspection(found))
    return generate_latest(registry).decode()


def inspection(found: Found, identity: str = "") -> Inspection:
    """A check as it is kept."""
    judged = [each for each in found.judgement.detectors if each.adjusted is not None]
    return Inspection(
        id=identity,
        task=found.task,
        version=found.version,
        kind=found.judgement.kind,
        compared=found.compared,
        threshold=_score(found.alpha),
        scores={each.name: _score(each.adjusted) for each in judged if each.adjusted},
    )


def _score(p: float) -> float:
    return math.log10(1 / p)

"""From samples to evidence: what happened since a canary got traffic, and in its present step."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from bonafide.delivery.rollout.checks import COUNTERS, Check, Counter, Table, choose, table
from bonafide.delivery.rollout.decide import Evidence, Finding, Rollout
from bonafide.delivery.rollout.evidence import (
    Window,
    against_equality,
    against_margin,
    against_share,
    combined,
)
from bonafide.delivery.rollout.samples import Samples, Times
from bonafide.telemetry import metrics

LOADED = metrics.name(metrics.MODEL_INFO)
DAY, BLOCK = 86_400.0, 1800.0
MOST_SAMPLES = 10_000  # Prometheus gives no more than 11,000 of a series


@dataclass(frozen=True)
class Compared:
    """What one check is judged by; times in seconds since 1970.

    Attributes:
        windows: of the whole rollout, in order; ``step`` is the first one of the present step.
        ends: of the windows.
        damping: 1 / dispersion between the stable version's own pods.
    """

    check: Check
    windows: Sequence[Window]
    ends: Sequence[float]
    step: int
    damping: float

    def harm(self, until: int | None = None) -> float:
        """The evidence that the canary differs for the worse, in the first windows."""
        return against_equality(self.windows[:until], self.check.ratios, self.damping)

    def finding(self) -> Finding:
        """The evidence in the windows."""
        here = self.windows[self.step :]
        safe = self._keeps(here, self.check.above)
        if self.check.below is not None:
            safe = min(safe, self._keeps([window.mirrored for window in here], self.check.below))
        return Finding(
            name=self.check.name,
            harm=self.harm(),
            safe=safe,
            weight=self.check.weight,
            trials=sum(window.canary_requests for window in here),
        )

    def _keeps(self, windows: Sequence[Window], margin: float) -> float:
        shown = (
            against_margin(windows, margin, self.damping),
            against_share(windows, self.check.points, self.damping),
        )
        return combined(shown, (0.5, 0.5))

    def told(self) -> dict[str, Any]:
        """The counts of each window: the canary's events and requests, the stable version's likewise."""
        return {
            "check": self.check.name,
            "above": self.check.above,
            "below": self.check.below,
            "points": self.check.points,
            "damping": self.damping,
            "step": self.step,
            "windows": [list(window) for window in self.windows],
        }


def measure(samples: Samples, rollout: Rollout, now: datetime) -> tuple[Evidence, list[Compared]]:
    """What the samples say of a canary that has traffic, and the counts behind it.

    Raises:
        DeliveryError: the samples cannot be read.
    """
    ready = ready_since(samples, rollout, now)
    if not rollout.weight:
        return Evidence((), ready), []
    warm_up = 60 * rollout.settings.warm_up_minutes
    judged = rollout.began.timestamp() + warm_up
    width = rollout.settings.window_seconds
    edges = _edges(judged, now.timestamp(), width)
    past = np.arange(judged, judged - min(DAY, MOST_SAMPLES * width) - 1e-6, -width)[::-1]
    base = _tables(samples, rollout.stable, past, width)
    checks = choose(base, rollout.settings.margins)
    stable, canary = (_tables(samples, version, edges) for version in (rollout.stable, rollout.canary))
    begins = edges[:-1]
    kept = np.flatnonzero(_warm(begins, rollout.steps, warm_up))
    step = int(np.searchsorted(begins[kept], max(rollout.since, ready or now).timestamp() + warm_up))
    compared = [
        Compared(
            check,
            [windows[index] for index in kept],
            [float(edges[index + 1]) for index in kept],
            step,
            check.damping(base[check.counter], round(max(1, BLOCK / width))),
        )
        for check in checks
        for windows in [check.windows(canary[check.counter], stable[check.counter])]
    ]
    return Evidence([each.finding() for each in compared], ready), compared


def harm_by_window(compared: Sequence[Compared]) -> list[tuple[float, float]]:
    """The end of each window, and the combined evidence of harm until then."""
    weights = [each.check.weight for each in compared]
    rest = 1 - sum(weights)
    return [
        (end, combined([0.0, *(each.harm(number) for each in compared)], [rest, *weights]))
        for number, end in enumerate(compared[0].ends if compared else (), start=1)
    ]


def ready_since(samples: Samples, rollout: Rollout, now: datetime) -> datetime | None:
    """Since when, in its present step, the canary has the pods that it is to have; None if it lacks any."""
    first = sorted(_answering(samples, rollout.canary, rollout, now))
    if len(first) < rollout.replicas:
        return None
    return datetime.fromtimestamp(max(first[rollout.replicas - 1], rollout.since.timestamp()), UTC)


def pods(samples: Samples, rollout: Rollout, now: datetime) -> int:
    """How many of the stable version's pods answer now; it was scaled for all of the traffic."""
    return len(_answering(samples, rollout.stable, rollout, now))


def _answering(samples: Samples, version: str, rollout: Rollout, now: datetime) -> list[float]:
    """When each pod that answers now was first seen in the present step."""
    end, recent = now.timestamp(), 2 * rollout.settings.window_seconds
    start = min(rollout.since.timestamp(), end - recent)
    times: dict[str, list[float]] = {}
    for series in samples.read(LOADED, start, end):
        if series.predictor == predictor(version):
            times.setdefault(series.pod, []).extend(series.times)
    return [min(seen) for seen in times.values() if seen and max(seen) >= end - recent]


def predictor(version: str) -> str:
    """The name of a version's predictor."""
    return f"v{version}"


def _tables(samples: Samples, version: str, edges: Times, step: float = 0) -> Mapping[Counter, Table]:
    start, end = float(edges[0]) - step, float(edges[-1])
    return {
        counter: table(samples.read(counter.metric, start, end, step), counter, predictor(version), edges)
        for counter in COUNTERS
    }


def _edges(start: float, end: float, width: int) -> Times:
    """Of whole windows only, on a grid of their own, so that every look has the same ones."""
    first = math.ceil(start / width) * width
    return np.arange(first, max(end, first) + 1e-6, width, dtype=np.float64)


def _warm(begins: Times, steps: Sequence[datetime], warm_up: float) -> np.ndarray:
    """Which windows begin after the warm-up of the step they are in."""
    cold = np.zeros(len(begins), bool)
    for step in steps:
        began = step.timestamp()
        cold |= (begins >= began - 1e-6) & (begins < began + warm_up)
    return ~cold

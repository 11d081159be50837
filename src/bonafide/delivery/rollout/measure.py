"""From samples to evidence: what happened since a canary got traffic, and in its present step."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from bonafide.delivery.manifests import predictor_name
from bonafide.delivery.rollout.checks import COUNTERS, REQUESTS, Check, Counter, Table, choose, table
from bonafide.delivery.rollout.decide import Evidence, Finding, Rollout
from bonafide.delivery.rollout.evidence import (
    Window,
    against_equality,
    against_margin,
    against_share,
    beyond_share,
    combined,
    growing,
)
from bonafide.delivery.rollout.samples import Samples, Series, Times
from bonafide.delivery.rollout.settings import ALL, DARK
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
        alone: whether the stable version has no traffic left.
    """

    check: Check
    windows: Sequence[Window]
    ends: Sequence[float]
    step: int
    damping: float
    alone: bool = False

    def finding(self) -> Finding:
        """The evidence in the windows."""
        here = self.windows[self.step :]
        harm = against_equality(self.windows, self.check.ratios, self.damping)
        if self.alone and self.check.gross is not None:
            harm = max(harm, beyond_share(here, self.check.gross))
        sides = (self.check.above, here), (self.check.below, [window.mirrored for window in here])
        shown = [self._keeps(windows, margin) for margin, windows in sides if margin is not None]
        trials = sum(window.canary_requests for window in here)
        return Finding(self.check.name, harm, min(shown, default=0.0), self.check.weight, trials)

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
            "ends": list(self.ends),
            "windows": [list(window) for window in self.windows],
        }


def measure(samples: Samples, rollout: Rollout, now: datetime) -> tuple[Evidence, list[Compared]]:
    """What the samples say of a canary, and the counts behind it.

    Raises:
        DeliveryError: the samples cannot be read.
    """
    seen = presence(samples, rollout, now)
    if not rollout.weight:
        return Evidence((), *seen), []
    warm_up, width = 60 * rollout.settings.warm_up_minutes, rollout.settings.window_seconds
    opened = rollout.steps[0].timestamp()
    past = np.arange(opened, opened - min(DAY, MOST_SAMPLES * width) - 1e-6, -width)[::-1]
    base = _tables(samples, rollout.stable, past, width)
    edges = _edges(rollout.began.timestamp() + warm_up, now.timestamp(), width)
    stable, canary = (_tables(samples, version, edges) for version in (rollout.stable, rollout.canary))
    begins = edges[:-1]
    kept = np.flatnonzero(_judged(begins, rollout, warm_up))
    began = max(rollout.since, seen.ready or now).timestamp() + warm_up
    step = int(np.searchsorted(begins[kept], began))
    compared = [
        Compared(
            check,
            [windows[index] for index in kept],
            [float(edges[index + 1]) for index in kept],
            step,
            check.damping(base[check.counter], round(max(1, BLOCK / width))),
            rollout.weight == ALL,
        )
        for check in choose(base, rollout.settings.margins)
        for windows in [check.windows(canary[check.counter], stable[check.counter])]
    ]
    now_on = kept[step:] if pods(samples, rollout, now) else kept[:0]
    asked = [int(found[REQUESTS].of(None)[:, now_on].sum()) for found in (canary, stable)]
    return Evidence([each.finding() for each in compared], *seen, (asked[0], asked[1])), compared


def harm_by_window(compared: Sequence[Compared]) -> list[tuple[float, float]]:
    """The end of each window, and the combined evidence of harm until then."""
    if not compared:
        return []
    logs = [growing(each.windows, each.check.ratios, each.damping) for each in compared]
    weights = [each.check.weight for each in compared]
    rows = np.array([np.zeros(len(logs[0])), *logs]).T
    return [
        (end, combined(list(row), [1 - sum(weights), *weights]))
        for end, row in zip(compared[0].ends, rows, strict=True)
    ]


class Presence(NamedTuple):
    """What is there of a rollout's pods.

    Attributes:
        ready: since when, in its present step, the canary has the pods that it is to have; None if it lacks
            any.
        last: when it had them last; None if never in this step.
        blind: whether it lacks them, and not even the stable version is seen.
    """

    ready: datetime | None
    last: datetime | None
    blind: bool


def presence(samples: Samples, rollout: Rollout, now: datetime) -> Presence:
    """Whether the pods of both versions answer, by the samples that they gave.

    Raises:
        DeliveryError: the samples cannot be read.
    """
    spans = [_span(times) for times in _pods(samples, rollout.canary, rollout, now)]
    recent = now.timestamp() - 2 * rollout.settings.window_seconds
    first = sorted(start for start, end in spans if end >= recent)
    ends = sorted((end for _, end in spans), reverse=True)
    enough = len(first) >= rollout.replicas
    return Presence(
        ready=_time(max(first[rollout.replicas - 1], rollout.since.timestamp())) if enough else None,
        last=_time(ends[rollout.replicas - 1]) if len(ends) >= rollout.replicas else None,
        blind=not enough and not pods(samples, rollout, now),
    )


def pods(samples: Samples, rollout: Rollout, now: datetime) -> int:
    """How many of the stable version's pods answer now; it was scaled for all of the traffic."""
    recent = now.timestamp() - 2 * rollout.settings.window_seconds
    return len([times for times in _pods(samples, rollout.stable, rollout, now) if max(times) >= recent])


def _pods(samples: Samples, version: str, rollout: Rollout, now: datetime) -> list[list[float]]:
    """When each pod was seen in the present step."""
    end, name = now.timestamp(), predictor_name(version)
    start = min(rollout.since.timestamp(), end - 2 * rollout.settings.window_seconds)
    times: dict[str, list[float]] = {}
    for series in samples.read(LOADED, start, end, where={"predictor": name}):
        if series.predictor == name and len(series.times):
            times.setdefault(series.pod, []).extend(series.times.tolist())
    return list(times.values())


def _span(times: Sequence[float]) -> tuple[float, float]:
    return min(times), max(times)


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _tables(samples: Samples, version: str, edges: Times, step: float = 0) -> Mapping[Counter, Table]:
    start, end, name = float(edges[0]) - step, float(edges[-1]), predictor_name(version)

    def read(counter: Counter) -> Sequence[Series]:
        return samples.read(counter.metric, start, end, step, {"predictor": name, **dict(counter.only)})

    return {counter: table(read(counter), counter, name, edges) for counter in COUNTERS}


def _edges(start: float, end: float, width: int) -> Times:
    """Of whole windows only, on a grid of their own, so that every look has the same ones."""
    first = math.ceil(start / width) * width
    return np.arange(first, max(end, first) + 1e-6, width, dtype=np.float64)


def _judged(begins: Times, rollout: Rollout, warm_up: float) -> npt.NDArray[np.bool_]:
    """Which windows begin while the canary has traffic, and after the warm-up of the step they are in."""
    left_out = np.zeros(len(begins), bool)
    ends = (*rollout.steps[1:], None)
    for began, ended, weight in zip(rollout.steps, ends, rollout.weights, strict=True):
        start = began.timestamp()
        end = (ended.timestamp() if ended else math.inf) if weight == DARK else start + warm_up
        left_out |= (begins >= start - 1e-6) & (begins < end)
    return ~left_out

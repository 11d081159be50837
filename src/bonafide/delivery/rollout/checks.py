"""What a canary is compared by: events among trials, counted in windows of time for each pod."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from bonafide.delivery.rollout.evidence import EITHER, HIGHER, Ratios, Window, dispersion, odds_ratio
from bonafide.delivery.rollout.samples import Counts, Series, Times
from bonafide.delivery.rollout.settings import Margins
from bonafide.telemetry import metrics

# Each check's part in the combined evidence of harm.
ERRORS, SLOW, LABELS, CONFIDENCE = 0.3, 0.2, 0.2, 0.15
# The share of the stable version's answers that are slow, at most; and the middle of its confidence.
SLOWEST, MIDDLE = 0.1, 0.5
FAILED, TRIED = ("failed", "overloaded"), ("ok", "failed", "overloaded")
EVERY = "+Inf"


class Counter(NamedTuple):
    """A counted metric: the label that tells its series apart, and what other labels must be."""

    metric: str
    label: str
    only: tuple[tuple[str, str], ...] = ()


REQUESTS = Counter(f"{metrics.name(metrics.REQUESTS)}_total", "outcome")
SECONDS = Counter(f"{metrics.name(metrics.STAGE_SECONDS)}_bucket", "le", (("stage", "infer"),))
PREDICTIONS = Counter(f"{metrics.name(metrics.PREDICTIONS)}_total", "label")
CONFIDENCES = Counter(f"{metrics.name(metrics.CONFIDENCE)}_bucket", "le")
COUNTERS = (REQUESTS, SECONDS, PREDICTIONS, CONFIDENCES)


class Table(NamedTuple):
    """By how much a counter's series grew.

    Attributes:
        keys: the values of its label, K of them.
        counts: INT64 [P, K, W] for P pods and W windows.
    """

    keys: tuple[str, ...]
    counts: Counts

    def of(self, parts: Mapping[str, int]) -> Counts:
        """The sum of some keys, each as often as ``parts`` says, INT64 [P, W]."""
        factors = np.array([parts.get(key, 0) for key in self.keys], np.int64)
        return np.asarray(np.einsum("pkw,k->pw", self.counts, factors))


def table(series: Iterable[Series], counter: Counter, predictor: str, edges: Times) -> Table:
    """How a counter grew in one predictor's pods, in the windows between ``edges``."""
    chosen = [
        each
        for each in series
        if each.predictor == predictor and set(counter.only) <= set(each.labels.items())
    ]
    pods = sorted({each.pod for each in chosen})
    keys = tuple(sorted({each.labels[counter.label] for each in chosen}))
    counts = np.zeros((len(pods), len(keys), len(edges) - 1), np.int64)
    for each in chosen:
        counts[pods.index(each.pod), keys.index(each.labels[counter.label])] += each.growth(edges)
    return Table(keys, counts)


@dataclass(frozen=True)
class Check:
    """One question: do the canary's requests have the event more often, or as often?

    Attributes:
        weight: in the combined evidence of harm.
        events: how often each key of the counter counts as an event; ``trials`` likewise.
        ratios: odds ratios that would be harm.
        above: the margin as an odds ratio of events; ``below`` of what is no event, None where fewer events
            harm nobody or cannot be fewer by the margin.
        points: the margin of a share that is next to nothing.
    """

    name: str
    counter: Counter
    weight: float
    events: Mapping[str, int]
    trials: Mapping[str, int]
    ratios: Ratios
    above: float = math.inf
    points: float = 1.0
    below: float | None = None

    def windows(self, canary: Table, stable: Table) -> list[Window]:
        """Both arms' events and trials, window by window."""
        arms = [each.of(parts).sum(0) for each in (canary, stable) for parts in (self.events, self.trials)]
        return [Window(*map(int, counts)) for counts in zip(*arms, strict=True)]

    def damping(self, stable: Table, together: int = 1) -> float:
        """What pods of one version differ by anyway makes the evidence weigh less; 1 if they do not.

        Args:
            together: how many of the table's windows make a block.
        """
        return 1 / dispersion(stable.of(self.events), stable.of(self.trials), together)


def choose(base: Mapping[Counter, Table], margins: Margins) -> list[Check]:
    """The checks that what the stable version did beforehand allows, and their thresholds.

    Args:
        base: its counters, from before the canary had traffic.
    """
    sums = {counter: dict(zip(found.keys, _sums(found), strict=True)) for counter, found in base.items()}
    return [
        *_errors(sums[REQUESTS], margins),
        *_slow(sums[SECONDS], margins),
        *_labels(sums[PREDICTIONS], margins),
        *_confidence(sums[CONFIDENCES], margins),
    ]


def _sums(found: Table) -> list[int]:
    return [int(each) for each in found.counts.sum((0, 2))]


def _errors(counts: Mapping[str, int], margins: Margins) -> list[Check]:
    share = _share(sum(counts.get(key, 0) for key in FAILED), sum(counts.get(key, 0) for key in TRIED))
    above = _above(share, max(share * margins.errors_ratio, share + margins.errors_points))
    points = margins.errors_points
    return [Check("errors", REQUESTS, ERRORS, _once(FAILED), _once(TRIED), HIGHER, above, points)]


def _slow(buckets: Mapping[str, int], margins: Margins) -> list[Check]:
    kept = _kept(buckets)
    if not (limit := next((bound for bound, share in kept.items() if share >= 1 - SLOWEST), "")):
        return []
    share = _share(buckets[EVERY] - buckets[limit], buckets[EVERY])
    above = _above(share, max(share * margins.slow_ratio, share + margins.slow_points))
    name, events, points = f"slower than {limit} s", {EVERY: 1, limit: -1}, margins.slow_points
    return [Check(name, SECONDS, SLOW, events, {EVERY: 1}, HIGHER, above, points)]


def _labels(counts: Mapping[str, int], margins: Margins) -> list[Check]:
    total, weight = sum(counts.values()), LABELS / max(1, len(counts))
    return [
        _either(
            Check(f"label {label}", PREDICTIONS, weight, {label: 1}, _once(counts), EITHER),
            _share(count, total),
            margins.label_points,
        )
        for label, count in counts.items()
    ]


def _confidence(buckets: Mapping[str, int], margins: Margins) -> list[Check]:
    kept = _kept(buckets)
    if not (limit := min(kept, key=lambda bound: abs(kept[bound] - MIDDLE), default="")):
        return []
    name, share = f"confidence up to {limit}", _share(buckets[limit], buckets[EVERY])
    check = Check(name, CONFIDENCES, CONFIDENCE, {limit: 1}, {EVERY: 1}, EITHER)
    return [_either(check, share, margins.confidence_points)]


def _either(check: Check, share: float, points: float) -> Check:
    """With margins in both directions, but where the share leaves no room for so large a change."""
    if share + points >= 1:
        keys = check.trials.keys() | check.events.keys()
        others = {key: check.trials.get(key, 0) - check.events.get(key, 0) for key in keys}
        check, share = replace(check, events=others), 1 - share
    below = _above(1 - share, 1 - share + points) if share > points else None
    return replace(check, above=_above(share, share + points), below=below, points=points)


def _kept(buckets: Mapping[str, int]) -> dict[str, float]:
    """By each bound of a bucket, lowest first, the share of the observations up to it; empty without any."""
    total = buckets.get(EVERY, 0)
    bounds = sorted((bound for bound in buckets if bound != EVERY), key=float)
    return {bound: buckets[bound] / total for bound in bounds} if total else {}


def _once(keys: Iterable[str]) -> dict[str, int]:
    return dict.fromkeys(keys, 1)


def _share(events: int, trials: int) -> float:
    return (events + 0.5) / (trials + 1)


def _above(share: float, most: float) -> float:
    return odds_ratio(min(most, (1 + share) / 2), share)

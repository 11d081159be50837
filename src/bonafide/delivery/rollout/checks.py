"""What a canary is compared by: events among trials, counted in windows of time for each pod."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from bonafide.delivery.rollout.evidence import EITHER, HIGHER, Ratios, Window, dispersion
from bonafide.delivery.rollout.samples import Counts, Series, Times
from bonafide.delivery.rollout.settings import Margins
from bonafide.telemetry import metrics

# Each check's part in the combined evidence of harm.
ERRORS, SLOW, LABELS, CONFIDENCE = 0.3, 0.2, 0.2, 0.15
# The share of the stable version's answers that are slow, at most; and the middle of its confidence.
SLOWEST, MIDDLE = 0.1, 0.5
# How many trials of the stable version a check must have to go by.
FEWEST = 100
# Where nothing is left to compare with, only this share of errors, or this multiple of it before, is harm;
# the last one is harm whatever was before.
GROSS, GROSS_RATIO, MOST_GROSS = 0.1, 4, 0.5
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

    def of(self, parts: Mapping[str, int] | None) -> Counts:
        """The sum of some keys, each as often as ``parts`` says, or of all, INT64 [P, W]."""
        factors = np.array([1 if parts is None else parts.get(key, 0) for key in self.keys], np.int64)
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
        events: how often each key of the counter counts as an event; ``trials`` likewise, None for all keys.
        ratios: odds ratios that would be harm.
        above: the margin as an odds ratio of events; ``below`` of what is no event. None where there is no
            harm in that direction, or no room for it.
        points: the margin of a share that is next to nothing.
        gross: the canary's own share that is harm where the stable version has no traffic left.
    """

    name: str
    counter: Counter
    weight: float
    events: Mapping[str, int]
    trials: Mapping[str, int] | None
    ratios: Ratios
    above: float | None = None
    points: float = 0.5
    below: float | None = None
    gross: float | None = None

    def windows(self, canary: Table, stable: Table) -> list[Window]:
        """Both arms' events and trials, window by window."""
        arms = [counts.sum(0) for each in (canary, stable) for counts in self._counts(each)]
        return [Window(*map(int, counts)) for counts in zip(*arms, strict=True)]

    def damping(self, stable: Table, together: int = 1) -> float:
        """What pods of one version differ by anyway makes the evidence weigh less; 1 if they do not.

        Args:
            together: how many of the table's windows make a block.
        """
        return 1 / dispersion(*self._counts(stable), together)

    def _counts(self, found: Table) -> tuple[Counts, Counts]:
        """Events and trials, INT64 [P, W] each, without what cannot be.

        A pod that restarts where no sample was taken may leave more events than trials.
        """
        events, trials = found.of(self.events), found.of(self.trials)
        sound = (events >= 0) & (events <= trials)
        return np.where(sound, events, 0), np.where(sound, trials, 0)


def choose(base: Mapping[Counter, Table], margins: Margins) -> list[Check]:
    """The checks, with thresholds from what the stable version did beforehand.

    A check that has too little to go by counts no trials, so that the canary waits.

    Args:
        base: its counters, from before the canary was there.
    """
    sums = {counter: dict(zip(found.keys, _sums(found), strict=True)) for counter, found in base.items()}
    return [
        _errors(sums[REQUESTS], margins),
        _slow(sums[SECONDS], margins),
        *_labels(sums[PREDICTIONS], margins),
        *_confidence(sums[CONFIDENCES], margins.confidence_points),
    ]


def _sums(found: Table) -> list[int]:
    return [int(each) for each in found.counts.sum((0, 2))]


def _blind(name: str, counter: Counter, weight: float) -> Check:
    return Check(f"{name}, of which the stable version showed too little", counter, weight, {}, {}, HIGHER)


def _errors(counts: Mapping[str, int], margins: Margins) -> Check:
    failed, tried = (sum(counts.get(key, 0) for key in keys) for keys in (FAILED, TRIED))
    if tried < FEWEST:
        return _blind("errors", REQUESTS, ERRORS)
    return Check(
        name="errors",
        counter=REQUESTS,
        weight=ERRORS,
        events=dict.fromkeys(FAILED, 1),
        trials=dict.fromkeys(TRIED, 1),
        ratios=HIGHER,
        above=margins.errors_ratio,
        points=margins.errors_points,
        gross=min(max(GROSS, GROSS_RATIO * failed / tried), MOST_GROSS),
    )


def _slow(buckets: Mapping[str, int], margins: Margins) -> Check:
    kept = _kept(buckets)
    if not (limit := next((bound for bound, share in kept.items() if share >= 1 - SLOWEST), "")):
        return _blind("slow answers", SECONDS, SLOW)
    events = {EVERY: 1, limit: -1}
    above, points = margins.slow_ratio, margins.slow_points
    return Check(f"slower than {limit} s", SECONDS, SLOW, events, {EVERY: 1}, HIGHER, above, points)


def _labels(counts: Mapping[str, int], margins: Margins) -> list[Check]:
    """Trials are all labels, also those that the stable version never gave."""
    if (total := sum(counts.values())) < FEWEST:
        return [_blind("labels", PREDICTIONS, LABELS)]
    weight = LABELS / len(counts)
    return [
        _either(
            Check(f"label {label}", PREDICTIONS, weight, {label: 1}, None, EITHER),
            count / total,
            margins.label_points,
        )
        for label, count in counts.items()
    ]


def _confidence(buckets: Mapping[str, int], points: float | None) -> list[Check]:
    kept = _kept(buckets)
    if points is None:
        return []
    if not (limit := min(kept, key=lambda bound: abs(kept[bound] - MIDDLE), default="")):
        return [_blind("confidence", CONFIDENCES, CONFIDENCE)]
    check = Check(f"confidence up to {limit}", CONFIDENCES, CONFIDENCE, {limit: 1}, {EVERY: 1}, EITHER)
    return [_either(check, kept[limit], points)]


def _either(check: Check, share: float, points: float) -> Check:
    """With margins in both directions, but where the share leaves no room for so large a change.

    A change by that many points is a ratio of at least ((1 + points) / (1 - points))², whatever the share.
    """
    margin = ((1 + points) / (1 - points)) ** 2
    below, above = (margin if room > points else None for room in (share, 1 - share))
    return replace(check, above=above, below=below, points=points)


def _kept(buckets: Mapping[str, int]) -> dict[str, float]:
    """By each bound of a bucket, lowest first, the share of the observations up to it; empty with too few."""
    total = buckets.get(EVERY, 0)
    bounds = sorted((bound for bound in buckets if bound != EVERY), key=float)
    return {bound: buckets[bound] / total for bound in bounds} if total >= FEWEST else {}

"""Many rollouts at once, judged after every window by ``decide``; of the windows only sums are kept."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.canary.traffic import LABELS, MINUTES, PODS, Array, World, day, tilted
from bonafide.delivery.rollout.checks import ERRORS, PREDICTIONS, REQUESTS, SECONDS, Check, Counter, choose
from bonafide.delivery.rollout.checks import LABELS as LABELS_WEIGHT
from bonafide.delivery.rollout.decide import Evidence, Finding, Rollout, Verdict, decide
from bonafide.delivery.rollout.evidence import (
    SAFER,
    Against,
    likelihoods,
    paired,
    paired_margin,
    rarities,
)
from bonafide.delivery.rollout.replay import FAILURE_POINTS
from bonafide.delivery.rollout.settings import ALL, DARK, Margins, RolloutSettings

OPENED = datetime(2026, 1, 5, tzinfo=UTC)
NEARLY = 1e-6  # rounding must hide no decision from decide()

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Ended:
    """How a rollout ended.

    Attributes:
        minutes: when each share of the traffic began, and when it ended.
        weight: the highest share that the canary had, in percent.
        requests: of the canary that were judged.
    """

    verdict: Verdict
    why: str
    minutes: tuple[float, ...]
    weight: int
    requests: int

    @property
    def back(self) -> bool:
        """Whether the canary was rolled back."""
        return self.verdict is Verdict.ROLL_BACK

    @property
    def late(self) -> bool:
        """Whether that was for a deadline."""
        return self.back and self.why.startswith("after")


class Past(NamedTuple):
    """What rollouts begin with, R of them.

    Attributes:
        pods: logarithms of the factors of the stable version's pods, FP64 [2, R, P].
        checks: each with its thresholds in all rollouts; ``damping`` likewise.
    """

    pods: Array
    checks: list[tuple[Check, ...]]
    damping: list[tuple[float, ...]]


@cache
def past(world: World, count: int, margins: Margins) -> Past:
    """Days of the stable version; rows that differ in the canary alone have the same."""
    rng = np.random.default_rng(0)
    factors = rng.normal(0, world.pods, (2, count, PODS))
    checks, damping = [], []
    for run in range(count):
        base = day(world, factors[:, run], rng)
        found = [each for each in choose(base, margins) if each.name != f"label {LABELS[1]}"]
        checks.append(found)
        damping.append([check.damping(base[check.counter]) for check in found])
    return Past(factors, list(zip(*checks, strict=True)), list(zip(*damping, strict=True)))


class Judged:
    """One check in all rollouts, R of them.

    Attributes:
        harm: logarithms of evidence, FP64 [R]; ``safe`` likewise.
        checks: the rollouts' own, whose thresholds differ by what was counted the day before.
        chances: of an event, for stable and canary, FP64 [2, R].
        twin: whether the other label's check always says the same.
    """

    def __init__(self, world: World, checks: Sequence[Check], damping: Array) -> None:
        self.checks, self.damping = checks, damping
        self.counter, self.ratios, self.weight = checks[0].counter, checks[0].ratios, checks[0].weight
        self.twin = self.counter is PREDICTIONS
        self.chances = np.array(
            [[_chance(world.shares(arm), check) for check in checks] for arm in (False, True)]
        )
        self._tests = [Against(self.ratios, np.ones(len(checks)))]
        self._tests.append(Against(SAFER, np.array([check.above for check in checks])))
        if checks[0].below is not None:  # the margin of what is no event
            self._tests.append(Against(1 / SAFER, 1 / np.array([check.below for check in checks])))
        self._logs = [np.zeros((len(checks), len(test.ratios))) for test in self._tests]
        self._own = [np.zeros((len(checks), len(SAFER))) for _ in self._tests[1:]]
        self.harm, self.safe = np.zeros(len(checks)), np.zeros(len(checks))

    def add(self, runs: Indices, windows: Indices) -> None:
        """Count a window of some rollouts, INT64 [W, 4]."""
        tests = [Against(test.ratios, test.null[runs]) for test in self._tests]
        for logs, gains in zip(self._logs, likelihoods(windows, *tests), strict=True):
            logs[runs] += gains
        mirrored = windows.copy()
        mirrored[:, ::2] = windows[:, 1::2] - windows[:, ::2]
        for logs, counts in zip(self._own, (windows, mirrored), strict=False):
            logs[runs] += rarities(counts, self.checks[0].points)
        self.harm[runs], *margins = (_mixed(logs[runs], self.damping[runs]) for logs in self._logs)
        own = (_mixed(logs[runs], self.damping[runs]) for logs in self._own)
        kept = [np.logaddexp(*both) - math.log(2) for both in zip(margins, own, strict=True)]
        self.safe[runs] = np.min(kept, axis=0)

    def restart(self, run: int) -> None:
        """A new step begins."""
        self.safe[run] = 0
        for logs in (*self._logs[1:], *self._own):
            logs[run] = 0


class Rollouts:
    """Rollouts of one world.

    Args:
        damped: whether pods' differences are allowed for.
        until: a share of the traffic at which a rollout is no longer followed.
    """

    def __init__(
        self,
        world: World,
        count: int,
        rng: np.random.Generator,
        settings: RolloutSettings | None = None,
        *,
        damped: bool = True,
        until: int | None = None,
    ) -> None:
        self.world, self.settings, self._rng, self._until = world, settings or RolloutSettings(), rng, until
        before = past(world.stable, count, self.settings.margins)
        canary = rng.normal(0, world.pods, before.pods.shape)
        self._lasting = self.pods = np.stack([before.pods, canary])  # arm, errors or slow, run, pod
        self.judged = [
            Judged(world, checks, np.array(damping) if damped else np.ones(count))
            for checks, damping in zip(before.checks, before.damping, strict=True)
        ]
        self.weight = np.full(count, self.settings.steps[0])
        self.since, self.trials, self.requests = (np.zeros(count, np.int64) for _ in range(3))
        self.starts: list[list[int]] = [[0] for _ in range(count)]
        self.ended: list[Ended | None] = [None] * count
        self.now, self.drift = 0, np.zeros(count)
        self.windows: tuple[Indices, list[Indices]] = np.empty(0, np.int64), []
        self.replays = rng.multinomial(self.settings.replays, world.changes, count)
        before = [dark(counts, self.settings) for counts in self.replays]
        self._dark = np.array([[Evidence(each, None).harm, min(one.safe for one in each)] for each in before])

    def run(self) -> list[Ended]:
        """Follow all to their end."""
        while any(each is None for each in self.ended):
            self.tick()
        return [each for each in self.ended if each]

    def tick(self) -> None:
        """A window passes, and each rollout is judged."""
        live = np.array([run for run, each in enumerate(self.ended) if each is None])
        self._traffic(live[(self.weight[live] != DARK) & (self.weight[live] != ALL)])
        self.now += 1
        harm, safe = self.evidence()
        passed = (self.now - self.since) * self.settings.window_seconds / 60
        baked = passed >= self.settings.warm_up_minutes + self.settings.bake_minutes - NEARLY
        able = (safe >= -math.log(self.settings.advance_alpha) - NEARLY) | (self.weight == ALL)
        due = harm >= -math.log(self.settings.alpha) - NEARLY
        due |= baked & able
        due |= passed > self.settings.deadline_minutes - NEARLY
        for run in live[due[live]]:
            self._decide(int(run))

    def _traffic(self, runs: Indices) -> None:
        rng, width = self._rng, self.settings.window_seconds
        if self.now * width % (60 * MINUTES) < width:
            self.drift = rng.normal(0, self.world.drift, len(self.weight))
            self.pods = self._lasting + rng.normal(0, self.world.wander, self._lasting.shape)
        shared = {REQUESTS: rng.normal(0, self.world.bursts, len(runs)), PREDICTIONS: self.drift[runs]}
        total = rng.poisson(self.world.rate * width, len(runs))
        canary = rng.binomial(total, self.weight[runs] / 100)
        warm = (self.now - self.since[runs]) * width >= 60 * self.settings.warm_up_minutes
        windows = []
        for judged in self.judged:
            stable_p, canary_p = self._chances(judged, runs, shared.get(judged.counter, np.zeros(1)))
            stable = total - canary
            events = rng.binomial(canary, canary_p), rng.binomial(stable, stable_p)
            windows.append(np.stack([events[0], canary, events[1], stable], 1)[warm])
            judged.add(runs[warm], windows[-1])
        self.windows = runs[warm], windows
        self.trials[runs[warm]] += canary[warm]
        self.requests[runs[warm]] += canary[warm]

    def _chances(self, judged: Judged, runs: Indices, shared: Array) -> tuple[Array, Array]:
        """Of an event in each arm, whose pods get one request as often as another."""
        chances = tilted(judged.chances[:, runs, None], shared[:, None])
        kind = {REQUESTS: 0, SECONDS: 1}.get(judged.counter)
        if kind is not None and (self.world.pods or self.world.wander):
            chances = tilted(chances, self.pods[:, kind, runs])
        there = np.arange(chances.shape[2]) < pods(self.weight[runs])[:, None]
        return chances[0].mean(1), np.average(chances[1], axis=1, weights=there[:, : chances.shape[2]])

    def evidence(self) -> tuple[Array, Array]:
        """Logarithms of the combined evidence of harm, and of the least that a check is safe, FP64 [R]."""
        weights = [each.weight * (1 + each.twin) for each in self.judged]
        harms = [np.zeros(len(self.weight)), *(each.harm for each in self.judged)]
        logs = np.log([1 - sum(weights), *weights])
        harm = np.logaddexp.reduce(np.array(harms) + logs[:, None], axis=0)
        safe = np.min([each.safe for each in self.judged], axis=0)
        unseen = self.weight == DARK
        harm[unseen], safe[unseen] = self._dark[unseen].T
        return harm, safe

    def findings(self, run: int) -> list[Finding]:
        """As the project's own code would have them."""
        if self.weight[run] == DARK:
            return dark(self.replays[run], self.settings)
        found = []
        for each in self.judged:
            harm, safe = float(each.harm[run]), float(each.safe[run])
            names = [each.checks[run].name, *([f"label {LABELS[1]}"] if each.twin else [])]
            found += [Finding(name, harm, safe, each.weight, int(self.trials[run])) for name in names]
        return found

    def rollout(self, run: int) -> Rollout:
        """As the project's own code would have it."""
        weight = int(self.weight[run])
        steps = tuple(self._time(start) for start in self.starts[run])
        replicas = int(pods(weight))
        return Rollout(self.settings, "1", "2", weight, replicas, steps, self.settings.steps[: len(steps)])

    def _time(self, windows: int) -> datetime:
        return OPENED + timedelta(seconds=windows * self.settings.window_seconds)

    def _decide(self, run: int) -> None:
        rollout = self.rollout(run)
        decision = decide(rollout, Evidence(self.findings(run), rollout.since), self._time(self.now))
        if decision.verdict is Verdict.HOLD:
            return
        if decision.verdict is Verdict.ADVANCE and decision.weight != self._until:
            self.weight[run], self.since[run], self.trials[run] = decision.weight, self.now, 0
            self.starts[run].append(self.now)
            for each in self.judged:
                each.restart(run)
            return
        minutes = [each * self.settings.window_seconds / 60 for each in (*self.starts[run], self.now)]
        weight = max(rollout.weight, decision.weight)
        self.ended[run] = Ended(
            decision.verdict, decision.why, tuple(minutes), weight, int(self.requests[run])
        )


def dark(counts: Indices, settings: RolloutSettings) -> list[Finding]:
    """What :func:`bonafide.delivery.rollout.replay.findings` says of so many replays, none of which fail.

    Args:
        counts: that changed to the first of two labels, away from it, and not.
    """
    to, away, same = map(int, counts)
    total, points = to + away + same, settings.margins.label_points
    safe = min(paired_margin(to, away, same, points), paired_margin(away, to, same, points))
    harm, weight = paired(to, away), LABELS_WEIGHT / len(LABELS)
    return [
        Finding("errors", 0.0, paired_margin(0, 0, total, FAILURE_POINTS), ERRORS, total),
        *(Finding(f"label {label}", harm, safe, weight, total) for label in LABELS),
    ]


def pods(weight: Indices | int) -> Indices:
    """How many of the canary's pods its share of the traffic asks for; one at least."""
    return np.maximum(1, np.ceil(PODS * np.asarray(weight) / 100)).astype(np.int64)


def _chance(shares: Mapping[Counter, Mapping[str, float]], check: Check) -> float:
    of = shares[check.counter]
    every = check.trials or dict.fromkeys(of, 1)
    events, trials = (
        sum(times * of.get(key, 0) for key, times in parts.items()) for parts in (check.events, every)
    )
    return events / trials


def _mixed(logs: Array, damping: Array) -> Array:
    damped = damping[:, None] * logs
    highest = damped.max(1)
    mixed: Array = np.log(np.exp(damped - highest[:, None]).mean(1)) + highest
    return mixed

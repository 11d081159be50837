"""What a rollout can see at a given rate, and how long it takes: a small simulation of its checks."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bonafide.delivery.rollout.checks import (
    CONFIDENCES,
    EVERY,
    MIDDLE,
    PREDICTIONS,
    REQUESTS,
    SECONDS,
    SLOWEST,
    Check,
    Counter,
    Table,
    choose,
)
from bonafide.delivery.rollout.evidence import SAFER, Against, Ratios, likelihoods, rarities
from bonafide.delivery.rollout.settings import ALL, DARK, RolloutSettings
from bonafide.errors import ConfigError

RUNS, GROWTH, SURE = 2000, 0.1, 0.999
BASE = 1_000_000
GOOD = "advance a good version"
SLOW = 3 * SLOWEST

Requests = npt.NDArray[np.float64]
Windows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Need:
    """How many requests the canary needs at a step until the judge does something.

    Attributes:
        what: it does, or sees.
        weight: the canary's share of the traffic, in percent.
        requests: the median and the point that 95 % keep.
        minutes: likewise, from the step's beginning.
        longest: minutes that all but one in a thousand keep.
    """

    what: str
    weight: int
    requests: tuple[float, float]
    minutes: tuple[float, float]
    longest: float


def plan(settings: RolloutSettings, rate: float, errors: float, labels: int, seed: int = 0) -> list[Need]:
    """What each step with traffic needs where pods of one version do not differ.

    Args:
        rate: requests a second, of both versions together.
        errors: the stable version's share of errors.
        labels: how many there are, equally frequent.
    """
    rng = np.random.default_rng(seed)
    checks = choose(_past(errors, labels), settings.margins)
    needs = []
    for weight in settings.steps:
        if DARK < weight < ALL:
            canary = rate * weight / 100
            step = _Step(settings, checks, weight / 100, max(1, round(canary * settings.window_seconds)), rng)
            needs += [
                _need(what, weight, requests, _minutes(settings, what, requests / (60 * canary)))
                for what, requests in step.needs(errors, labels)
            ]
    return needs


def _minutes(settings: RolloutSettings, what: str, judged: Requests) -> Requests:
    """From a step's beginning; a step that goes well has to bake too."""
    least = settings.bake_minutes if what == GOOD else 0.0
    return settings.warm_up_minutes + np.maximum(judged, least)


def refuse_short(settings: RolloutSettings, needs: list[Need]) -> None:
    """Stop where a good version would be rolled back only because it has too little time.

    Raises:
        ConfigError: the deadline is shorter than what all but one good version in a thousand need.
    """
    good = [need for need in needs if need.what == GOOD]
    slowest = max(good, key=lambda need: need.longest, default=None)
    if slowest and slowest.longest > settings.deadline_minutes:
        raise ConfigError(
            f"deadline_minutes is {settings.deadline_minutes:g}, but a good version may need "
            f"{math.ceil(slowest.longest):,} minutes at {slowest.weight} % of the traffic; raise it, or "
            "begin with a larger step"
        )


@dataclass(frozen=True)
class _Step:
    """Many canaries at one step.

    Attributes:
        part: the canary's share of the traffic.
        window: its requests in one.
    """

    settings: RolloutSettings
    checks: list[Check]
    part: float
    window: int
    rng: np.random.Generator

    def needs(self, errors: float, labels: int) -> Iterator[tuple[str, Requests]]:
        """What may happen, and after how many canary requests, FP64 [RUNS]."""
        shares = [errors, SLOWEST, *[1 / labels] * labels, MIDDLE]
        safe = [self._safe(check, share) for check, share in zip(self.checks, shares, strict=True)]
        yield GOOD, np.maximum(np.max(safe, axis=0), self.settings.minimum_requests)
        failing, slow, label, *_ = self.checks
        points = self.settings.margins.errors_points
        yield "see errors × 2", self._harm(failing, errors, 2 * errors)
        yield "see errors × 3", self._harm(failing, errors, 3 * errors)
        yield f"see errors + {100 * points:g} points", self._harm(failing, errors, errors + points)
        yield f"see slow answers × {SLOW / SLOWEST:g}", self._harm(slow, SLOWEST, SLOW)
        share, shift = 1 / labels, self.settings.margins.label_points
        yield f"see a label's share + {100 * shift:g} points", self._harm(label, share, share + shift)

    def _safe(self, check: Check, share: float) -> Requests:
        tests = []
        if check.above is not None:
            tests.append(Against(SAFER, np.full(1, check.above)))
        if check.below is not None:  # of what is no event
            tests.append(Against(1 / SAFER, np.full(1, 1 / check.below)))
        return self._until(-math.log(self.settings.advance_alpha), tests, share, share, check.points)

    def _harm(self, check: Check, stable: float, canary: float) -> Requests:
        rest = 1 / self.settings.alpha - 1 + check.weight  # what the other checks, at 1 each, do not bring
        return self._until(math.log(rest / check.weight), [Against(check.ratios, np.ones(1))], stable, canary)

    def _until(
        self,
        threshold: float,
        tests: list[Against],
        stable: float,
        canary: float,
        points: float | None = None,
    ) -> Requests:
        """After how many canary requests the evidence of all tests is enough.

        Windows grow with what was seen, so that looks are few.

        Args:
            points: a share of the canary's own that is next to nothing, of events and of what is none; 0 if
                only the comparison counts.
        """
        found, waiting, seen = np.zeros(RUNS), np.arange(RUNS), 0
        logs = [np.zeros((RUNS, len(test.ratios))) for test in tests]
        own = [np.zeros((RUNS, len(SAFER))) for _ in tests if points]
        while len(waiting):
            windows = self._windows(len(waiting), max(self.window, int(GROWTH * seen)), stable, canary)
            seen += int(windows[0, 1])
            for log, gains in zip(logs, likelihoods(windows, *tests), strict=True):
                log[waiting] += gains
            shown = [_mixed(log[waiting]) for log in logs]
            if points:
                for log, counts in zip(own, (windows, _mirrored(windows)), strict=False):
                    log[waiting] += rarities(counts, points)
                both = zip(shown, own, strict=True)
                shown = [np.logaddexp(each, _mixed(log[waiting])) - math.log(2) for each, log in both]
            least = np.min(shown, axis=0)
            found[waiting[least >= threshold]] = seen
            waiting = waiting[least < threshold]
        return found

    def _windows(self, count: int, size: int, stable: float, canary: float) -> Windows:
        others = round(size * (1 - self.part) / self.part)
        windows = np.empty((count, 4), np.int64)
        windows[:, 0], windows[:, 1] = self.rng.binomial(size, canary, count), size
        windows[:, 2], windows[:, 3] = self.rng.binomial(others, stable, count), others
        return windows


def _past(errors: float, labels: int) -> Mapping[Counter, Table]:
    """Of a stable version with these shares."""
    shares = {
        REQUESTS: {"failed": errors, "ok": 1 - errors},
        SECONDS: {"1": 1 - SLOWEST, EVERY: 1.0},
        PREDICTIONS: {str(label): 1 / labels for label in range(labels)},
        CONFIDENCES: {"1": MIDDLE, EVERY: 1.0},
    }
    return {
        counter: Table(tuple(of), np.rint(BASE * np.array([*of.values()])).astype(np.int64)[None, :, None])
        for counter, of in shares.items()
    }


def _mirrored(windows: Windows) -> Windows:
    mirrored = windows.copy()
    mirrored[:, ::2] = windows[:, 1::2] - windows[:, ::2]
    return mirrored


def _mixed(logs: Ratios) -> Requests:
    return np.asarray(np.logaddexp.reduce(logs, axis=1) - math.log(logs.shape[1]))


def _need(what: str, weight: int, requests: Requests, minutes: Requests) -> Need:
    return Need(
        what, weight, _half_and_most(requests), _half_and_most(minutes), float(np.quantile(minutes, SURE))
    )


def _half_and_most(values: Requests) -> tuple[float, float]:
    half, most = np.quantile(values, (0.5, 0.95))
    return float(half), float(most)

"""What happens next in a rollout: a pure function of the rollout, the evidence and the time."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from bonafide.delivery.rollout.evidence import combined
from bonafide.delivery.rollout.settings import ALL, DARK, RolloutSettings

# A gateway that divides the requests otherwise than it was told is off by this ratio of odds; one that was
# told nothing gives a canary none, or as much as the stable version. Fewer requests do not show it.
FAR, ENOUGH = 3, 1000


class Verdict(StrEnum):
    """What a decision does to the traffic of a canary."""

    HOLD = "hold"
    ADVANCE = "advance"
    FINISH = "finish"
    ROLL_BACK = "roll back"


@dataclass(frozen=True)
class Rollout:
    """A canary at a step.

    Attributes:
        stable: the version that serves the rest.
        canary: the version on trial.
        weight: the canary's share of the traffic, in percent.
        replicas: how many pods the canary is to have.
        steps: when each share began that the canary had so far, in order; the first is that of its opening.
        weights: those shares.
        resumed: when a person last let it go on; None if it was never paused.
    """

    settings: RolloutSettings
    stable: str
    canary: str
    weight: int
    replicas: int
    steps: tuple[datetime, ...]
    weights: tuple[int, ...]
    resumed: datetime | None = None

    @property
    def since(self) -> datetime:
        """When the present step began."""
        return self.steps[-1]

    @property
    def began(self) -> datetime:
        """When the canary first had traffic; the present step's beginning if it has none yet."""
        first = next((number for number, weight in enumerate(self.weights) if weight), -1)
        return self.steps[first]


@dataclass(frozen=True)
class Finding:
    """What one check says; evidence is in natural logarithms.

    Attributes:
        harm: that the canary differs for the worse, since the rollout began.
        safe: that it keeps its margin, in this step.
        weight: its part in the combined evidence of harm.
        trials: of the canary, in this step.
    """

    name: str
    harm: float
    safe: float
    weight: float
    trials: int


@dataclass(frozen=True)
class Evidence:
    """What was measured.

    Attributes:
        findings: one a check.
        ready: since when enough of the canary's pods answer; None if they do not.
        last: when they did last; None if never in this step.
        blind: whether the canary's pods are not seen, and nothing of the stable version either.
        requests: of the canary and of the stable version, in this step; none if the latter is not seen now.
    """

    findings: Sequence[Finding]
    ready: datetime | None
    last: datetime | None = None
    blind: bool = False
    requests: tuple[int, int] = (0, 0)

    @property
    def harm(self) -> float:
        """That any check is harmed: the weighted mean, in which a check that is missing counts as 1."""
        weights = [finding.weight for finding in self.findings]
        rest = 1 - sum(weights)
        return combined([0.0, *(finding.harm for finding in self.findings)], [max(rest, 1e-12), *weights])


@dataclass(frozen=True)
class Decision:
    """A verdict, why in one sentence, and the canary's share of the traffic from now on."""

    verdict: Verdict
    why: str
    weight: int


def decide(rollout: Rollout, evidence: Evidence, now: datetime) -> Decision:
    """Judge a rollout.

    Harm that is proven rolls back, at any time. A step is left for the next when it has baked and every check
    is shown to keep its margin. Too little evidence waits, and past the deadline it rolls back.
    """
    settings, waited = rollout.settings, now - max(rollout.since, rollout.resumed or rollout.since)
    if evidence.harm >= -math.log(settings.alpha):
        return _back(f"{_worst(evidence)} speaks against version {rollout.canary}")
    if settings.paused:
        return _hold(rollout, "a person paused the rollout")
    if _gone(rollout, evidence, now) > timedelta(minutes=settings.ready_minutes):
        return _back(f"its pods were not ready within {settings.ready_minutes:g} minutes")
    if _gets_too_much(rollout, evidence) and rollout.weight == max(rollout.weights):
        return _back(_told(rollout, evidence))
    missing = _missing(rollout, evidence, now)
    if not missing:
        return _next(rollout)
    if waited > timedelta(minutes=settings.deadline_minutes):
        return _back(f"after {settings.deadline_minutes:g} minutes {missing}")
    return _hold(rollout, missing)


def _gone(rollout: Rollout, evidence: Evidence, now: datetime) -> timedelta:
    """For how long the canary has lacked pods, though others are seen."""
    if evidence.ready or evidence.blind:
        return timedelta()
    return now - max(filter(None, (rollout.since, rollout.resumed, evidence.last)))


def has_baked(rollout: Rollout, ready: datetime | None, now: datetime) -> bool:
    """Whether a step has lasted as long as it must, since its pods are ready."""
    least = timedelta(minutes=rollout.settings.warm_up_minutes + rollout.settings.bake_minutes)
    return ready is not None and now >= max(ready, rollout.since) + least


def _missing(rollout: Rollout, evidence: Evidence, now: datetime) -> str:
    """What the step still lacks, in words; empty if nothing."""
    if evidence.blind:
        return "nothing is seen of either version"
    if evidence.ready is None:
        return "its pods are not ready"
    if not has_baked(rollout, evidence.ready, now):
        return "the step has not baked"
    if rollout.weight == ALL:  # the stable version has no requests left to compare with
        return ""
    if _gets_too_much(rollout, evidence) or _gets_too_little(rollout, evidence):
        return f"{_told(rollout, evidence)}: is traffic split so?"
    return _unshown(rollout, evidence)


def _gets_too_much(rollout: Rollout, evidence: Evidence) -> bool:
    """Whether a canary gets far more than its share.

    After a person lowered it, that is so until the cluster has followed.
    """
    share = _share(rollout, evidence)
    return share is not None and _odds(share) > FAR * _odds(rollout.weight / ALL)


def _gets_too_little(rollout: Rollout, evidence: Evidence) -> bool:
    share = _share(rollout, evidence)
    return share is not None and FAR * _odds(share) < _odds(rollout.weight / ALL)


def _told(rollout: Rollout, evidence: Evidence) -> str:
    share = evidence.requests[0] / sum(evidence.requests)
    return f"it gets {share:.1%} of the requests, and {rollout.weight} % is its share"


def _share(rollout: Rollout, evidence: Evidence) -> float | None:
    """The canary's share of the requests; None where there are too few to tell, or nothing to divide."""
    canary, together = evidence.requests[0], sum(evidence.requests)
    return canary / together if together >= ENOUGH and rollout.weight not in (DARK, ALL) else None


def _odds(share: float) -> float:
    return share / (1 - share) if share < 1 else math.inf


def _unshown(rollout: Rollout, evidence: Evidence) -> str:
    """Which check does not show yet that it keeps its margin."""
    settings = rollout.settings
    least = settings.replays if rollout.weight == DARK else settings.minimum_requests
    for finding in evidence.findings:
        if finding.trials < least:
            return f"{finding.name} has {finding.trials:,} of {least:,} trials"
        if finding.safe < -math.log(settings.advance_alpha):
            return f"{finding.name} is not shown to keep its margin"
    return "" if evidence.findings else "nothing was measured"


def _worst(evidence: Evidence) -> str:
    return max(evidence.findings, key=lambda finding: finding.harm + math.log(finding.weight)).name


def _next(rollout: Rollout) -> Decision:
    if rollout.weight == ALL:
        return Decision(Verdict.FINISH, f"version {rollout.canary} has baked at {ALL} %", ALL)
    weight = next(step for step in rollout.settings.steps if step > rollout.weight)
    return Decision(Verdict.ADVANCE, f"every check keeps its margin at {rollout.weight} %", weight)


def _hold(rollout: Rollout, why: str) -> Decision:
    return Decision(Verdict.HOLD, why, rollout.weight)


def _back(why: str) -> Decision:
    return Decision(Verdict.ROLL_BACK, why, DARK)

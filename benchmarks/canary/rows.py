"""The rows of the tables: what is simulated, what is promised of it, and what was found."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import binomtest

from benchmarks.canary import others
from benchmarks.canary.judge import Ended, Rollouts, dark
from benchmarks.canary.traffic import World
from bonafide.delivery.rollout.decide import Evidence
from bonafide.delivery.rollout.settings import RolloutSettings

RATES = (5, 20, 50)
NOISES: Mapping[str, Mapping[str, float]] = {
    "none": {},
    "shared bursts, σ 1": {"bursts": 1.0},
    "label drift, σ 0.5": {"drift": 0.5},
    "pods wander, σ 0.2": {"wander": 0.2},
}
LASTING: Mapping[str, Mapping[str, float]] = {
    f"pods differ for good, σ {sigma:g}": {"pods": sigma} for sigma in (0.05, 0.1, 0.2)
}
WORSE: Mapping[str, Mapping[str, float]] = {
    "errors 0.1 % → 0.6 %": {"errors": 0.001, "canary_errors": 0.006},
    "errors 0.2 % → 0.7 %": {"errors": 0.002, "canary_errors": 0.007},
    "errors 0.5 % → 1 %": {"errors": 0.005, "canary_errors": 0.01},
    "errors 1 % → 2 %": {"errors": 0.01, "canary_errors": 0.02},
    "errors 0.5 % → 1.5 %": {"errors": 0.005, "canary_errors": 0.015},
    "inference × 1.5": {"slower": 1.5},
}
SURER = ("errors 0.5 % → 1.5 %", "inference × 1.5")
DOUBLE, GREY = "errors 0.5 % → 1 %", "errors 0.5 % → 0.75 %"
SOON, SHIFT_REQUESTS, REPLAYS, SHIFTS = 1000, 4000, 1000, (0.1, 0.05)
PEERS = {"Kayenta": others.kayenta, "Flagger": others.flagger, "Argo Rollouts": others.argo}
PEER_WORLDS: Mapping[str, Mapping[str, float]] = {
    "no difference": {},
    "no difference, shared bursts": {"bursts": 1.0},
    "errors 0.5 % → 1 %": {"canary_errors": 0.01},
    "errors 0.5 % → 1.5 %": {"canary_errors": 0.015},
    "inference × 1.5": {"slower": 1.5},
    "a label's share + 10 points": {"shifted": 0.1},
}

Figures = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """One world, and how it is followed.

    Attributes:
        table: where it stands: same, lasting, worse, grey, shifted, both.
        noise: of :data:`NOISES` or :data:`LASTING`.
    """

    table: str
    what: str
    world: World
    noise: str = "none"
    damped: bool = True
    settings: RolloutSettings | None = None

    @property
    def name(self) -> str:
        """Of its results."""
        damped = "" if self.damped else ", undamped"
        return f"{self.what}, {self.world.rate:g}/s, {self.noise}{damped}"


def rows() -> Iterator[Row]:
    """All that Bonafide judges."""
    yield from (
        Row("same", "same", World(rate, **NOISES[noise]), noise) for noise in NOISES for rate in RATES
    )
    wander = "pods wander, σ 0.2"
    yield Row("same", "same", World(20, **NOISES[wander]), wander, damped=False)
    yield from (Row("lasting", "same", World(20, **kind), noise) for noise, kind in LASTING.items())
    yield from (Row("worse", what, World(rate, **WORSE[what])) for what in WORSE for rate in RATES)
    for noise, kind in list(NOISES.items())[1:]:
        yield Row("worse", DOUBLE, World(20, **WORSE[DOUBLE], **kind), noise)
    yield Row("grey", GREY, World(20, canary_errors=0.0075))
    lit = RolloutSettings(steps=RolloutSettings().steps[1:])
    yield from (Row("shifted", "shifted", World(rate, shifted=0.05), settings=lit) for rate in RATES)
    yield from (Row("both", "shifted after the dark", World(rate, shifted=0.05)) for rate in RATES)


def simulate(row: Row, runs: int, seed: int) -> Figures:
    """What came of so many rollouts of a row."""
    random = np.random.default_rng(seed)
    ended = Rollouts(row.world, runs, random, row.settings, damped=row.damped).run()
    back = [each for each in ended if each.back]
    good = [each for each in ended if not each.back]
    return {
        "back": len(back),
        "late": sum(each.late for each in back),
        "early": sum(each.weight < 50 for each in back),
        "soon": sum(each.requests <= SOON for each in back),
        "shifted": sum(each.requests <= SHIFT_REQUESTS for each in back),
        "requests": _spread(back, lambda each: each.requests),
        "found": _spread(back, lambda each: each.minutes[-1]),
        "minutes": _spread(good, lambda each: each.minutes[-1]),
    }


def _spread(ended: Sequence[Ended], value: Callable[[Ended], float]) -> list[float]:
    """The median and the 95 % point; empty of nothing."""
    return [float(each) for each in np.quantile([value(one) for one in ended], (0.5, 0.95))] if ended else []


class Share(NamedTuple):
    """How often something happened, with its exact interval (Clopper and Pearson 1934)."""

    times: int
    of: int

    @property
    def value(self) -> float:
        """As a share."""
        return self.times / self.of

    def __str__(self) -> str:
        low, high = binomtest(self.times, self.of).proportion_ci(method="exact")
        return f"{100 * self.value:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def peers(runs: int) -> dict[str, dict[str, int]]:
    """How many of so many canaries each system rolls back, by world and system."""
    return {
        name: {
            peer: int(judge(World(20, **kind), runs, np.random.default_rng(number)).sum())
            for peer, judge in PEERS.items()
        }
        for number, (name, kind) in enumerate(PEER_WORLDS.items())
    }


def replayed(shifted: float, runs: int, rng: np.random.Generator) -> list[int]:
    """After how many replays a shift is found in the dark; 0 where 1,000 are too few."""
    world, settings = replace(World(20), shifted=shifted), RolloutSettings()
    return [_found(world, settings, rng) for _ in range(runs)]


def _found(world: World, settings: RolloutSettings, rng: np.random.Generator) -> int:
    changes = rng.choice(3, REPLAYS, p=world.changes)
    counts = np.stack([(changes == kind).cumsum() for kind in range(3)], 1)
    for replays in range(10, REPLAYS + 1, 10):
        if Evidence(dark(counts[replays - 1], settings), None).harm >= -np.log(settings.alpha):
            return replays
    return 0

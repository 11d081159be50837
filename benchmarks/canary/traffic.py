"""What two versions do with simulated requests: chances of events, and the day before a rollout."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import beta, norm

from bonafide.delivery.rollout.checks import (
    CONFIDENCES,
    EVERY,
    PREDICTIONS,
    REQUESTS,
    SECONDS,
    Counter,
    Table,
)

Array = NDArray[np.float64]

PODS, BLOCKS, MINUTES = 4, 48, 30
# The bounds around the working range in telemetry.metrics.STAGE_SECONDS.
BOUNDS = tuple(float(f"{0.005 * 100 ** (step / 26):.4g}") for step in range(27))
SHARES = tuple(round(0.05 * step, 2) for step in range(1, 21))
MEDIAN, SPREAD = 0.03, 0.3
LABELS = ("ai", "real")


@dataclass(frozen=True)
class World:
    """Traffic, and how the canary differs.

    Attributes:
        rate: requests a second.
        errors: the stable version's share of errors; ``canary_errors`` is the canary's.
        slower: the canary's inference time as a multiple of the stable version's.
        shifted: points of the first label's share.
        bursts: sigma of a log-normal factor on the odds of an error, new each minute, the same in both arms.
        drift: sigma of the log odds of the first label, new each half-hour, the same in both arms.
        pods: sigma of a log-normal factor on each pod's odds of an error and of a slow answer, which lasts;
            ``wander`` likewise, new each half-hour.
        changed: the share of replays whose answer changes without any shift, half of them each way.
    """

    rate: float
    errors: float = 0.005
    canary_errors: float | None = None
    slower: float = 1.0
    shifted: float = 0.0
    bursts: float = 0.0
    drift: float = 0.0
    pods: float = 0.0
    wander: float = 0.0
    changed: float = 0.06

    @property
    def changes(self) -> tuple[float, float, float]:
        """The shares of replays that change to the first label, away from it, and not."""
        to, away = (self.changed / 2 + max(0.0, each) for each in (self.shifted, -self.shifted))
        return to, away, 1 - to - away

    @property
    def stable(self) -> "World":
        """The same traffic with a canary that does not differ."""
        return replace(self, canary_errors=None, slower=1.0, shifted=0.0)

    @cache  # noqa: B019 -- worlds are few
    def shares(self, canary: bool) -> Mapping[Counter, Mapping[str, float]]:
        """The share of requests that each series of a counter counts; buckets count all below their bound."""
        errors = self.canary_errors if canary and self.canary_errors is not None else self.errors
        median = MEDIAN * (self.slower if canary else 1)
        first = 0.5 + (self.shifted if canary else 0)
        return {
            REQUESTS: {"failed": errors, "ok": 1 - errors},
            SECONDS: _cumulative(BOUNDS, norm.cdf(np.log(np.array(BOUNDS) / median) / SPREAD)),
            PREDICTIONS: dict(zip(LABELS, (first, 1 - first), strict=True)),
            CONFIDENCES: _cumulative(SHARES, beta.cdf(SHARES, 6, 1.5)),
        }


def _cumulative(bounds: tuple[float, ...], shares: Array) -> dict[str, float]:
    return {**{str(bound): float(share) for bound, share in zip(bounds, shares, strict=True)}, EVERY: 1.0}


def tilted(share: Array | float, log_factor: Array | float) -> Array:
    """A share whose odds are multiplied."""
    return np.asarray(expit(logit(share) + log_factor))


def day(world: World, pods: Array, rng: np.random.Generator) -> dict[Counter, Table]:
    """How the stable version's counters grew in the half-hours of a day.

    Args:
        pods: the logarithms of the factors of errors and slow answers, FP64 [2, P].
    """
    errors, slow = pods[..., None] + rng.normal(0, world.wander, (*pods.shape, BLOCKS))
    bursts, drift = rng.normal(0, world.bursts, (BLOCKS, MINUTES)), rng.normal(0, world.drift, BLOCKS)
    requests = rng.poisson(world.rate * 60 * MINUTES / pods.shape[1], (pods.shape[1], BLOCKS))
    shares = world.shares(canary=False)
    failing = tilted(world.errors, errors[..., None] + bursts).mean(2)
    first = tilted(shares[PREDICTIONS][LABELS[0]], drift)
    below = np.array(list(shares[SECONDS].values()))
    tables = {
        REQUESTS: _split(rng.binomial(requests, failing), requests, ("failed", "ok")),
        PREDICTIONS: _split(rng.binomial(requests, first), requests, LABELS),
    }
    for counter, reached in (
        (SECONDS, 1 - tilted(1 - below, slow[..., None])),
        (
            CONFIDENCES,
            np.broadcast_to(list(shares[CONFIDENCES].values()), (*requests.shape, len(SHARES) + 1)),
        ),
    ):
        each = np.clip(np.diff(reached, prepend=0), 0, 1)
        counts = rng.multinomial(requests, each / each.sum(-1, keepdims=True))
        tables[counter] = Table(tuple(shares[counter]), counts.cumsum(2).transpose(0, 2, 1))
    return tables


def _split(events: NDArray[np.int64], requests: NDArray[np.int64], keys: tuple[str, ...]) -> Table:
    return Table(keys, np.stack([events, requests - events], 1))

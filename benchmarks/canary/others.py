"""The same traffic judged by what other systems' documentation writes, each with its own steps of traffic."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from benchmarks.canary.traffic import LABELS, MEDIAN, SPREAD, Array, World, tilted
from bonafide.delivery.rollout.checks import PREDICTIONS, REQUESTS

# Flagger: percent of the traffic, checks that may fail, success in percent, 99th percentile in seconds.
STEP, HIGHEST, FAILED, SUCCESS, SLOWEST = 10, 50, 5, 99.0, 0.5
# Argo Rollouts: percent of the traffic at each measurement, seconds that one sees, measurements, success.
MEASURED, SEEN, FAILURES, SUCCESS_SHARE = (40, 40, 60, 60, 80, 80), 30, 3, 0.95
# Kayenta: percent of the traffic of each of its arms, minutes until each judgement.
ARM, JUDGED, CONFIDENCE, TOLERANCE, MARGINAL, PASS = 10, (60, 120, 180), 0.98, 0.25, 75, 95


def flagger(world: World, count: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which canaries are rolled back: BOOL [R]."""
    weight, failed = np.full(count, STEP), np.zeros(count, np.int64)
    over = norm.sf(np.log(SLOWEST / (MEDIAN * world.slower)) / SPREAD)
    while (going := (weight <= HIGHEST) & (failed < FAILED)).any():
        requests = np.maximum(1, rng.poisson(world.rate * 60 * weight / 100))
        errors = rng.binomial(requests, _errors(world, count, rng)[1])
        good = (100 * (1 - errors / requests) >= SUCCESS) & (rng.binomial(requests, over) <= requests / 100)
        weight += STEP * (going & good)
        failed += going & ~good
    return failed >= FAILED


def argo(world: World, count: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Likewise."""
    failures = np.zeros(count, np.int64)
    for weight in MEASURED:
        requests = np.maximum(1, rng.poisson(world.rate * SEEN * weight / 100, count))
        errors = rng.binomial(requests, _errors(world, count, rng)[1])
        failures += 1 - errors / requests < SUCCESS_SHARE
    return failures >= FAILURES


def kayenta(world: World, count: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Likewise."""
    return np.array([_kayenta(world, rng) for _ in range(count)])


def _kayenta(world: World, rng: np.random.Generator) -> bool:
    metrics = _minutes(world, JUDGED[-1], rng)
    for minutes in JUDGED:
        passed = [not _differs(arms[:, :minutes], lower) for arms, lower in metrics]
        if 100 * np.mean(passed) < (PASS if minutes == JUDGED[-1] else MARGINAL):
            return True
    return False


def _minutes(world: World, minutes: int, rng: np.random.Generator) -> list[tuple[Array, bool]]:
    """Errors, mean time and the first label's share of baseline and canary in each minute.

    Returns:
        FP64 [2, minutes] each, and whether less of it is a failure too.
    """
    requests = np.maximum(1, rng.poisson(world.rate * 60 * ARM / 100, (2, minutes)))
    errors = rng.binomial(requests, _errors(world, minutes, rng))
    drift = np.repeat(rng.normal(0, world.drift, minutes // 30), 30)
    first = np.array([[world.shares(arm)[PREDICTIONS][LABELS[0]]] for arm in (False, True)])
    mean = MEDIAN * np.exp(SPREAD**2 / 2) * np.array([[1.0], [world.slower]])
    times = rng.normal(mean, mean * np.sqrt((np.exp(SPREAD**2) - 1) / requests))
    labels = rng.binomial(requests, tilted(first, drift)) / requests
    return [(errors / requests, False), (times, False), (labels, True)]


def _errors(world: World, count: int, rng: np.random.Generator) -> Array:
    """The chance of an error in each arm, FP64 [2, count]."""
    shares = np.array([[world.shares(arm)[REQUESTS]["failed"]] for arm in (False, True)])
    return tilted(shares, rng.normal(0, world.bursts, count))


def _differs(arms: Array, lower: bool) -> bool:
    """Whether the interval of the shift lies beyond a quarter of its estimate (Hodges and Lehmann)."""
    baseline, canary = arms
    shifts = np.sort((canary[:, None] - baseline).ravel())
    n, m = len(canary), len(baseline)
    rank = int(n * m / 2 - norm.ppf((1 + CONFIDENCE) / 2) * np.sqrt(n * m * (n + m + 1) / 12))
    bound = TOLERANCE * abs(float(np.median(shifts)))
    return bool(shifts[rank] > bound or (lower and shifts[-1 - rank] < -bound))

"""How long one answer takes, with the predictor's own settings."""

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonafide.config import Config
from bonafide.model.runtime import OnnxModel

ROUNDS, RUNS = 5, 20
LONGEST_SECONDS = 20.0


class Latency(Config):
    """Milliseconds for one answer on one thread: the median, and the 5th and 95th percentile."""

    median: float
    low: float
    high: float


def measure_latency(model: OnnxModel) -> Latency:
    """Time the graph on this machine after a warm-up; decoding is not part of it.

    Of several rounds the one with the least median counts: what else a machine does can only add time, so
    one busy moment says nothing about the model (the advice of Python's ``timeit``).

    Args:
        model: loaded with one thread, as the predictor does.
    """
    one = model.info.input.drawn(np.random.default_rng(0))
    model.run(one)
    started = time.perf_counter()
    rounds: list[list[float]] = []
    while len(rounds) < ROUNDS and (not rounds or time.perf_counter() - started < LONGEST_SECONDS):
        rounds.append([_milliseconds(model, one) for _ in range(RUNS)])
    low, median, high = np.quantile(min(rounds, key=np.median), [0.05, 0.5, 0.95])
    return Latency(median=float(median), low=float(low), high=float(high))


def _milliseconds(model: OnnxModel, one: NDArray[Any]) -> float:
    begun = time.perf_counter()
    model.run(one)
    return 1000 * (time.perf_counter() - begun)

from types import SimpleNamespace

import pytest

from bonafide.model import latency
from bonafide.model.info import ImageInput
from bonafide.model.latency import ROUNDS, RUNS, measure_latency


class Timed:
    """A model on a clock of its own: a run takes the next of ``seconds``."""

    def __init__(self, seconds, monkeypatch):
        self.info = SimpleNamespace(input=ImageInput(size=8))
        self.shapes = []
        self._now, self._seconds = 0.0, iter(seconds)
        monkeypatch.setattr(latency.time, "perf_counter", lambda: self._now)

    def run(self, pixels):
        self.shapes.append(pixels.shape)
        self._now += next(self._seconds)


def test_one_image_a_run_after_a_warm_up(monkeypatch):
    model = Timed([5.0] + [0.002] * ROUNDS * RUNS, monkeypatch)
    found = measure_latency(model)
    assert model.shapes == [(1, 8, 8, 3)] * (ROUNDS * RUNS + 1)
    assert (found.low, found.median, found.high) == pytest.approx((2, 2, 2))


def test_a_busy_moment_does_not_count_and_the_spread_is_told(monkeypatch):
    quiet = [0.002] * (RUNS - 2) + [0.001, 0.010]
    busy = [0.1] * RUNS
    found = measure_latency(Timed([0.0, *busy, *quiet, *busy * (ROUNDS - 2)], monkeypatch))
    assert found.median == pytest.approx(2)
    assert found.low < 2 < found.high < 10


def test_a_slow_model_is_not_timed_for_ever(monkeypatch):
    model = Timed([2.0] * (RUNS * ROUNDS + 1), monkeypatch)
    assert measure_latency(model).median == pytest.approx(2000)
    assert len(model.shapes) == RUNS + 1

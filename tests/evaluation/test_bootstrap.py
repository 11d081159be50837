import math

import numpy as np
import pytest

from bonafide.evaluation import bootstrap as module
from bonafide.evaluation.bootstrap import Interval, bootstrap


def mean_of(values):
    return lambda weights: {"mean": weights @ values / weights.sum(1)}


def test_the_interval_of_a_proportion_is_that_of_the_normal_approximation():
    hits = (np.arange(1000) < 800).astype(float)
    interval = bootstrap(mean_of(hits), 1000, samples=4000, seed=0)["mean"]
    half = 1.96 * math.sqrt(0.8 * 0.2 / 1000)
    assert interval.value == 0.8
    assert interval.low == pytest.approx(0.8 - half, abs=0.002)
    assert interval.high == pytest.approx(0.8 + half, abs=0.002)


def test_95_percent_of_intervals_hold_the_truth():
    rng = np.random.default_rng(0)
    draws = (rng.random((200, 150)) < 0.7).astype(float)
    intervals = [bootstrap(mean_of(row), 150, samples=200, seed=i)["mean"] for i, row in enumerate(draws)]
    covered = np.mean([each.low <= 0.7 <= each.high for each in intervals])
    assert 0.90 <= covered <= 0.99


def test_the_seed_fixes_the_interval():
    values = np.random.default_rng(0).normal(size=50)
    first, again, other = (bootstrap(mean_of(values), 50, 100, seed)["mean"] for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_memory_is_bounded_by_chunks_that_make_up_all_samples(monkeypatch):
    monkeypatch.setattr(module, "CELLS_A_CHUNK", 35)
    seen = []

    def statistics(weights):
        seen.append(weights.shape)
        assert (weights.sum(1) == 10).all()
        return {"n": weights.sum(1)}

    bootstrap(statistics, 10, samples=8, seed=0)
    assert seen == [(1, 10), (3, 10), (3, 10), (2, 10)]


def test_resamples_without_a_value_are_left_out():
    interval = bootstrap(lambda weights: {"x": np.where(weights[:, 0] > 0, 1.0, np.nan)}, 3, 50, 0)["x"]
    assert (interval.low, interval.high) == (1, 1)


def test_nan_is_null_in_json_and_nan_again():
    text = Interval(value=math.nan, low=0.0, high=math.inf).model_dump_json()
    assert text == '{"value":null,"low":0.0,"high":null}'
    assert math.isnan(Interval.model_validate_json(text).value)


@pytest.mark.parametrize(
    ("value", "low", "high", "text"),
    [
        (0.5, 0.25, 0.75, "0.500 (0.250 to 0.750)"),
        (0.5, math.nan, math.nan, "0.500"),
        (math.nan, math.nan, math.nan, "undefined"),
    ],
)
def test_text(value, low, high, text):
    assert str(Interval(value=value, low=low, high=high)) == text

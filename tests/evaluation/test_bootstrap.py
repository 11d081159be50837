import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bonafide.evaluation import bootstrap as module
from bonafide.evaluation.bootstrap import bootstrap
from bonafide.evaluation.intervals import of_difference, of_share


def mean_of(values):
    return lambda weights: {"mean": weights @ values / weights.sum(1)}


def interval_of(values, groups, samples=200, seed=0, method=of_share):
    return bootstrap(mean_of(values), groups, samples, seed, method)["mean"]


def test_without_groups_the_interval_of_a_share_is_that_of_the_normal_approximation():
    hits = (np.arange(1000) < 800).astype(float)
    interval = interval_of(hits, np.arange(1000), samples=4000)
    half = 1.96 * math.sqrt(0.8 * 0.2 / 1000)
    assert interval.value == 0.8
    assert interval.low == pytest.approx(0.8 - half, abs=0.003)
    assert interval.high == pytest.approx(0.8 + half, abs=0.003)


def test_95_percent_of_intervals_over_unequal_groups_hold_the_truth_and_those_over_images_do_not():
    """12 groups of 12 to 161 images whose own accuracies vary about 0.8 with intra-group correlation 0.1."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(12), 500 // np.arange(3, 39, 3))
    alone = np.arange(len(groups))

    def covered(grouping):
        intervals = [interval_of(row, grouping, seed=seed) for seed, row in enumerate(draws)]
        return np.mean([each.low <= 0.8 <= each.high for each in intervals])

    of_groups = rng.beta(0.8 * 9, 0.2 * 9, (200, 12))
    draws = (rng.random((200, len(groups))) < of_groups[:, groups]).astype(float)
    assert 0.9 <= covered(groups) <= 0.99
    assert covered(alone) < 0.7


@given(
    sizes=st.lists(st.integers(1, 6), min_size=1, max_size=12), order=st.randoms(), seed=st.integers(0, 99)
)
def test_images_of_a_group_come_and_go_together_in_any_order(sizes, order, seed):
    groups = np.repeat(np.arange(len(sizes)), sizes)
    order.shuffle(groups)
    seen = []

    def statistics(weights):
        seen.append(weights)
        return {"n": weights.sum(1)}

    bootstrap(statistics, groups, 20, seed, of_share)
    for row in np.concatenate(seen):
        times = [set(row[groups == group]) for group in range(len(sizes))]
        assert all(len(each) == 1 for each in times)
        assert sum(min(each) for each in times) == len(sizes), "as many groups are drawn as there are"


def test_the_seed_fixes_the_interval():
    values = (np.random.default_rng(0).random(50) < 0.5).astype(float)
    first, again, other = (interval_of(values, np.arange(50) // 5, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_memory_is_bounded_by_chunks_that_make_up_all_samples(monkeypatch):
    monkeypatch.setattr(module, "CELLS_A_CHUNK", 35)
    seen = []

    def statistics(weights):
        seen.append(weights.shape)
        return {"n": weights.sum(1) / 10}

    bootstrap(statistics, np.arange(10) // 2, 8, 0, of_share)
    assert seen == [(1, 10), (3, 10), (3, 10), (2, 10)]


def test_resamples_without_a_value_are_left_out():
    groups = np.arange(6)

    def statistics(weights):
        return {"x": np.where(weights[:, 0] > 0, 0.5 + 0.01 * weights[:, 1], np.nan)}

    found = bootstrap(statistics, groups, 50, 0, of_difference)["x"]
    assert found.ends is not None


def test_a_value_that_no_resample_has_has_no_interval():
    def statistics(weights):
        return {"x": np.where((weights == 1).all(1), 0.5, np.nan)}

    assert bootstrap(statistics, np.arange(9), 50, 0, of_share)["x"].ends is None


def test_a_value_whose_rarer_outcome_sits_in_few_groups_has_a_wider_interval():
    groups, hits = np.repeat(np.arange(10), 50), np.ones(500)
    hits[:2] = 0
    every = np.ones(500, bool)

    def interval(outcomes):
        return bootstrap(mean_of(hits), groups, 200, 0, of_share, outcomes=outcomes)["mean"]

    known, unknown = interval({"mean": (hits == 1, every)}), interval({})
    assert known.low < 0.75 < 0.95 < unknown.low


def test_a_value_rests_on_the_groups_it_needs():
    groups = np.repeat(np.arange(10), 3)
    values = np.tile([1.0, 0.0, 1.0], 10)
    narrow = groups < 4

    def statistics(weights):
        return {"all": weights @ values / weights.sum(1), "some": weights @ values / weights.sum(1)}

    found = bootstrap(statistics, groups, 100, 0, of_share, {"some": [narrow]})
    assert found["all"].ends is not None
    assert found["some"].ends is None

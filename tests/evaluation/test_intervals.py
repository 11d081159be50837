import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import binomtest

from bonafide.evaluation.intervals import (
    FEWEST_GROUPS,
    Basis,
    Interval,
    about_intervals,
    basis,
    of_difference,
    of_share,
)

BOTH = pytest.mark.parametrize("method", [of_share, of_difference])


def equal(groups, size=10):
    return Basis(images=groups * size, groups=groups, effective=groups)


def test_independent_images_have_the_exact_binomial_interval():
    everything = Basis(images=200, groups=200, effective=200)
    expected = binomtest(170, 200).proportion_ci(0.95, "exact")
    found = of_share(0.85, 0.85 * 0.15 / 200, everything)
    assert found.ends == pytest.approx((expected.low, expected.high), abs=1e-3)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_groups_without_an_error_have_the_exact_interval_of_as_many_images(value):
    expected = binomtest(round(8 * value), 8).proportion_ci(0.95, "exact")
    assert of_share(value, 0.0, equal(8)).ends == pytest.approx((expected.low, expected.high))
    assert of_share(1.0, 0.0, equal(8)).low == pytest.approx(0.025 ** (1 / 8))


def test_a_difference_has_the_t_interval_of_its_groups():
    found = of_difference(0.02, 0.01**2, equal(8, size=100))
    assert found.ends == pytest.approx((0.02 - 2.3646 * 0.01, 0.02 + 2.3646 * 0.01), abs=1e-6)


def test_a_difference_that_no_group_shows_is_not_known_to_be_nothing():
    assert of_difference(0.0, 0.0, equal(8)).low == pytest.approx(0.025 ** (1 / 80) - 1)
    assert of_difference(-1 / 80, 1e-9, equal(8)).low == pytest.approx(0.025 ** (1 / 80) - 1 - 1 / 80)


@pytest.mark.parametrize("value", [0.02, 0.98])
def test_an_error_in_one_or_two_groups_does_not_tell_how_alike_their_images_are(value):
    variance = 0.02 * 0.98 / 480
    surer = of_share(value, variance, Basis(images=480, groups=8, effective=8, rarer=3))
    seldom = of_share(value, variance, Basis(images=480, groups=8, effective=8, rarer=2))
    expected = of_share(round(value), 0.0, equal(8))
    assert seldom.high - seldom.low > 5 * (surer.high - surer.low)
    assert (seldom.low, seldom.high) == pytest.approx((expected.low, expected.high), abs=0.05)
    few, more = (Basis(images=480, groups=8, effective=8, rarer=rarer) for rarer in (2, 3))
    assert of_share(0.5, 0.05, few) == of_share(0.5, 0.05, more)


def test_groups_that_hold_the_rarer_outcome_are_counted():
    groups, right = np.repeat(np.arange(6), 10), np.ones(60, bool)
    right[[0, 1, 2, 15]] = False
    every = np.ones(60, bool)
    assert basis(groups, [every]).rarer is None
    assert basis(groups, [every], (right, every)).rarer == 2
    assert basis(groups, [every], (~right, every)).rarer == 2
    assert basis(groups, [every], (right, groups > 0)).rarer == 1
    assert basis(groups, [every], (right, groups > 1)).rarer == 0


@BOTH
def test_too_few_groups_have_no_interval(method):
    assert method(0.9, 0.001, equal(FEWEST_GROUPS - 1)).ends is None
    assert method(0.9, 0.001, equal(FEWEST_GROUPS)).ends is not None
    assert method(1.0, 0.0, equal(FEWEST_GROUPS - 1)).ends is None


@BOTH
def test_many_groups_that_say_as_much_as_too_few_have_no_interval(method):
    groups = np.repeat(np.arange(30), [1000] + [1] * 29)
    assert method(0.9, 0.001, basis(groups, [np.ones(len(groups), bool)])).ends is None
    nearly_equal = np.arange(401) % FEWEST_GROUPS
    assert method(0.9, 0.001, basis(nearly_equal, [np.ones(401, bool)])).ends is not None


@BOTH
def test_what_is_undefined_has_no_interval(method):
    for value, variance in ((math.nan, 0.1), (0.5, math.nan)):
        assert method(value, variance, equal(30)).ends is None


shares = st.floats(0, 1)
variances = st.floats(0, 0.25)
sizes = st.lists(st.integers(1, 1000), min_size=FEWEST_GROUPS, max_size=60)


@given(value=shares, variance=variances, sizes=sizes)
def test_an_interval_holds_its_value_has_a_width_and_stays_in_bounds(value, variance, sizes):
    groups = np.repeat(np.arange(len(sizes)), sizes)
    found = basis(groups, [np.ones(len(groups), bool)])
    assume(found.effective >= FEWEST_GROUPS)
    share, difference = of_share(value, variance, found), of_difference(value, variance, found)
    assert 0 <= share.low <= value <= share.high <= 1
    assert -1 <= difference.low <= value <= difference.high <= 1
    assert min(share.high - share.low, difference.high - difference.low) > 0


@given(value=shares, variance=variances, groups=st.integers(FEWEST_GROUPS, 200))
def test_fewer_groups_never_make_an_interval_narrower(value, variance, groups):
    for method in (of_share, of_difference):
        few, many = (method(value, variance, Basis(5000, n, n)) for n in (groups, groups + 1))
        assert few.high - few.low >= many.high - many.low - 1e-9


@given(sizes=sizes)
def test_unequal_groups_say_less_than_their_number(sizes):
    groups = np.repeat(np.arange(len(sizes)), sizes)
    found = basis(groups, [np.ones(len(groups), bool)])
    assert (found.images, found.groups) == (sum(sizes), len(sizes))
    assert 1 <= found.effective <= len(sizes) + 1e-9
    assert (found.effective > len(sizes) - 1e-9) == (len(set(sizes)) == 1)


def test_the_kind_of_image_in_the_fewest_groups_counts():
    groups = np.array([0, 0, 1, 1, 2, 2, 3, 3])
    rare, common = groups < 2, groups >= 0
    found = basis(groups, [rare, common])
    assert (found.images, found.groups, found.effective) == (8, 2, 2)
    assert basis(groups, [groups > 9]).groups == 0


def test_nan_is_null_in_json_and_nan_again():
    text = Interval(value=math.nan, low=0.0, high=math.inf).model_dump_json()
    assert text == '{"value":null,"low":0.0,"high":null}'
    assert math.isnan(Interval.model_validate_json(text).value)


@pytest.mark.parametrize(
    ("value", "low", "high", "text"),
    [
        (0.5, 0.25, 0.75, "0.500 (0.250 to 0.750)"),
        (0.5, math.nan, math.nan, "0.500 (too few groups)"),
        (math.nan, math.nan, math.nan, "undefined"),
    ],
)
def test_text(value, low, high, text):
    assert str(Interval(value=value, low=low, high=high)) == text


def test_what_intervals_say_is_told_with_what_a_group_is():
    text = about_intervals(1200, 12, "A group is one photograph.")
    assert "the 12 groups of the 1,200 test images" in text
    assert "alike. A group is one photograph. A value" in text
    assert "groups that say less than 5 equal ones" in text

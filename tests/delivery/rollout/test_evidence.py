import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, nchypergeom_fisher

from bonafide.delivery.rollout import evidence
from bonafide.delivery.rollout.evidence import (
    EITHER,
    HIGHER,
    SAFER,
    Against,
    Window,
    against_equality,
    against_margin,
)

counts = st.integers(0, 12)


def possible(n: int, m: int, e: int):
    return range(max(0, e - m), min(n, e) + 1)


def law(n: int, m: int, e: int, ratio: float):
    return nchypergeom_fisher(n + m, e, n, ratio)


@given(n=counts, m=counts, data=st.data())
def test_a_likelihood_ratio_is_that_of_fisher_s_noncentral_hypergeometric(n, m, data):
    e = data.draw(st.integers(0, n + m))
    for a in possible(n, m, e):
        window = Window(a, n, e - a, m)
        log = against_equality([window], np.array([2.5]))
        expected = law(n, m, e, 2.5).pmf(a) / law(n, m, e, 1).pmf(a) if n + m else 1.0
        assert math.exp(log) == pytest.approx(expected)


@pytest.mark.parametrize(("n", "m", "e"), [(1, 9, 2), (5, 5, 3), (10, 90, 7), (40, 60, 50)])
@pytest.mark.parametrize("ratios", [HIGHER, EITHER])
def test_evidence_is_one_on_average_where_nothing_differs(n, m, e, ratios):
    found = {a: against_equality([Window(a, n, e - a, m)], ratios) for a in possible(n, m, e)}
    assert sum(law(n, m, e, 1).pmf(a) * math.exp(log) for a, log in found.items()) == pytest.approx(1)


@pytest.mark.parametrize(("n", "m", "e"), [(5, 5, 3), (10, 90, 7), (40, 60, 50)])
@pytest.mark.parametrize("worse", [1.0, 1.5, 4.0])
def test_evidence_below_a_margin_is_one_at_most_on_average_at_and_past_it(n, m, e, worse):
    truth = law(n, m, e, 2.0 * worse)
    logs = {a: against_margin([Window(a, n, e - a, m)], 2.0) for a in possible(n, m, e)}
    mean = sum(truth.pmf(a) * math.exp(log) for a, log in logs.items())
    assert mean <= 1 + 1e-9
    assert worse > 1 or mean == pytest.approx(1)


def test_damping_and_combining_keep_evidence_below_one_on_average():
    n, m, e = 10, 90, 20
    for damping in (0.2, 0.7):
        logs = {a: against_equality([Window(a, n, e - a, m)], HIGHER, damping) for a in possible(n, m, e)}
        assert sum(law(n, m, e, 1).pmf(a) * math.exp(log) for a, log in logs.items()) < 1
    assert math.exp(evidence.combined([0.0, math.log(7)], [0.5, 0.5])) == pytest.approx(4)


@pytest.mark.parametrize("changed", [0, 1, 7, 30])
def test_paired_evidence_is_one_on_average_if_neither_way_is_likelier(changed):
    mean = sum(
        math.comb(changed, worse) / 2**changed * math.exp(evidence.paired(worse, changed - worse))
        for worse in range(changed + 1)
    )
    assert mean == pytest.approx(1)


def test_one_sided_paired_evidence_is_one_on_average_and_grows_with_the_worse_alone():
    mean = sum(
        math.comb(20, worse) / 2**20 * math.exp(evidence.one_sided(worse, 20 - worse)) for worse in range(21)
    )
    assert mean == pytest.approx(1)
    assert evidence.one_sided(0, 20) < 0 < evidence.one_sided(20, 0)


@pytest.mark.parametrize("shares", [(0.1, 0.0, 0.9), (0.3, 0.2, 0.5), (0.6, 0.1, 0.3)])
def test_paired_evidence_below_a_margin_is_one_at_most_on_average_at_and_past_it(shares):
    total, mean = 8, 0.0
    for outcomes in itertools.product(range(3), repeat=total):
        worse, better, same = (outcomes.count(each) for each in range(3))
        chance = math.prod(shares[each] for each in outcomes)
        mean += chance * math.exp(evidence.paired_margin(worse, better, same, 0.1))
    assert mean <= 1 + 1e-9


def test_replays_that_change_nothing_keep_the_margin_soon():
    alpha = math.log(50)
    needed = next(n for n in itertools.count() if evidence.paired_margin(0, 0, n, 0.1) >= alpha)
    assert needed < 150


@pytest.mark.parametrize("share", [0.02, 0.05, 0.5])
def test_evidence_of_a_small_share_is_one_at_most_on_average_at_and_past_it(share):
    means = [
        sum(
            binom.pmf(a, 60, truth) * math.exp(evidence.against_share([Window(a, 60, 0, 0)], 0.02))
            for a in range(61)
        )
        for truth in (share, min(1, 2 * share))
    ]
    assert all(mean <= 1 + 1e-9 for mean in means)
    assert share > 0.02 or means[0] == pytest.approx(1)


def test_a_canary_without_any_error_keeps_its_margin_though_nobody_errs():
    windows = [Window(0, 100, 0, 900)] * 12
    assert against_margin(windows, 2.0) == pytest.approx(0)
    assert evidence.against_share(windows, 0.005) > math.log(50)


def test_windows_without_requests_in_an_arm_say_nothing():
    for window in (Window(0, 0, 3, 50), Window(3, 50, 0, 0), Window(0, 0, 0, 0)):
        assert against_equality([window], HIGHER) == pytest.approx(0)
        assert against_margin([window], 2.0) == pytest.approx(0)


def test_pods_that_differ_only_by_chance_have_no_dispersion():
    rng = np.random.default_rng(1)
    trials = np.full((2, 200), 1000)
    events = rng.binomial(trials, 0.02)
    assert evidence.dispersion(events, trials) == pytest.approx(1, abs=0.3)
    assert evidence.dispersion(events * [[2], [1]], trials) > 3
    assert evidence.dispersion(events[:1], trials[:1]) == 1
    assert evidence.dispersion(0 * events, 0 * trials) == 1


def test_a_pod_that_takes_another_s_place_does_not_differ_by_the_hour():
    rng = np.random.default_rng(2)
    share = np.repeat([0.02, 0.2], 30)
    trials = np.array([[500] * 60, [500] * 30 + [0] * 30, [0] * 30 + [500] * 30])
    events = rng.binomial(trials, share)
    assert evidence.dispersion(events, trials, together=60) < 2
    assert SAFER.max() < 1


@pytest.mark.parametrize(("base", "ratio", "median"), [(0.01, 2, 2000), (0.05, 2, 400)])
def test_a_canary_that_errs_twice_as_often_is_seen_within_the_expected_requests(base, ratio, median):
    rng, found = np.random.default_rng(7), []
    for _ in range(60):
        log, seen = np.zeros(len(HIGHER)), 0
        while np.logaddexp.reduce(log) - math.log(len(HIGHER)) < math.log(100 / 0.3) and seen < 20 * median:
            n = int(rng.binomial(600, 0.1))
            window = Window(int(rng.binomial(n, ratio * base)), n, int(rng.binomial(600 - n, base)), 600 - n)
            log += [against_equality([window], np.array([each])) for each in HIGHER]
            seen += n
        found.append(seen)
    assert median / 2 < np.median(found) < median * 2


@pytest.mark.parametrize("null", [1.0, 2.5])
@pytest.mark.parametrize(
    ("n", "m", "e"), [(3000, 3000, 3100), (150, 1350, 700), (40, 10, 45), (300, 2700, 9)]
)
def test_large_windows_have_the_same_law(null, n, m, e):
    a = round(n * e / (n + m))
    ratios = np.array([0.1, 0.7, 1.6, 6.0])
    [[logs]] = evidence.likelihoods(np.array([[a, n, e - a, m]]), Against(ratios, np.array([null])))
    expected = [law(n, m, e, null * each).logpmf(a) - law(n, m, e, null).logpmf(a) for each in ratios]
    for log, truth in zip(logs, expected, strict=True):
        if truth > -600:  # beyond, scipy's underflows
            assert log == pytest.approx(truth, abs=1e-6)


def test_windows_add_up_whatever_their_sizes():
    windows = [Window(3, 40, 20, 300), Window(0, 0, 4, 9), Window(70, 130, 200, 420), Window(1, 1, 0, 0)]
    nulls = np.array([1.0, 1.5, 2.0, 3.0])
    equality = Against(HIGHER, np.ones(1))
    both = evidence.likelihoods(np.array(windows), Against(SAFER, nulls), equality)
    for at, window in enumerate(windows):
        alone = evidence.likelihoods(np.array([window]), Against(SAFER, nulls[at : at + 1]), equality)
        for together, single in zip(both, alone, strict=True):
            assert together[at] == pytest.approx(single[0])
    assert [against_equality([], HIGHER), against_margin([], 2.0)] == pytest.approx([0, 0])


def test_what_is_no_event_has_the_margin_s_reciprocal():
    window = Window(40, 120, 610, 1080)
    [mirrored] = evidence.likelihoods(np.array([window.mirrored]), Against(SAFER, np.array([1.5])))
    [same] = evidence.likelihoods(np.array([window]), Against(1 / SAFER, np.array([1 / 1.5])))
    assert mirrored == pytest.approx(same)

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.serving import figures

SECONDS = st.lists(st.floats(0, 100), min_size=1, max_size=200)


@given(SECONDS, st.sampled_from([50, 95, 99]))
def test_percentile_is_the_nearest_rank(latencies, share):
    expected = np.percentile(latencies, share, method="inverted_cdf")
    assert figures.percentile(latencies, 0, share) == pytest.approx(expected)


def test_failures_count_as_slower_than_all_others():
    latencies = [0.001 * rank for rank in range(1, 91)]
    assert figures.percentile(latencies, 10, 50) == 0.050
    assert figures.percentile(latencies, 10, 90) == 0.090
    assert figures.percentile(latencies, 10, 95) == math.inf
    assert figures.percentile([], 3, 50) == math.inf


def test_rate_counts_right_answers_only():
    outcome = {
        "begin": 10.0,
        "end": 12.0,
        "latencies": [0.1] * 6,
        "failures": {"timeout": 4, "wrong answer": 1},
    }
    assert figures.rate(outcome) == 3
    assert figures.failed(outcome) == 5


@given(st.floats(-5, 5), st.floats(-100, 100))
def test_slope_of_a_line_is_its_own(rise, start):
    xs = [100.0, 200.0, 300.0, 400.0]
    assert figures.slope(xs, [start + rise * x for x in xs]) == pytest.approx(rise, abs=1e-9)

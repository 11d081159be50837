"""Random histories of metrics: pods that come, go and restart, gaps in the samples, no requests."""

import math
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from bonafide.delivery.rollout.decide import Rollout, Verdict, decide
from bonafide.delivery.rollout.measure import measure
from bonafide.delivery.rollout.settings import RolloutSettings
from tests.delivery.rollout.traffic import MIDNIGHT, Traffic

OPENED, END = 2 * 3600, 5 * 3600
SETTINGS = RolloutSettings(steps=(10, 50, 100), minimum_requests=50, deadline_minutes=90)

pods = st.fixed_dictionaries(
    {
        "version": st.sampled_from("123"),
        "start": st.integers(0, END // 60).map(lambda minute: 60 * minute),
        "minutes": st.integers(1, 300),
        "rate": st.sampled_from([0, 0.1, 5, 40]),
        "errors": st.sampled_from([0, 0.005, 0.5]),
        "label": st.sampled_from([0, 0.5, 1]),
    }
)
steady = st.builds(
    lambda version, start, rate, errors, label: {
        "version": version,
        "start": start,
        "minutes": 300,
        "rate": rate,
        "errors": errors,
        "label": label,
    },
    st.just("1"),
    st.just(0),
    st.sampled_from([0.1, 20, 40]),
    st.sampled_from([0, 0.005]),
    st.sampled_from([0.2, 0.5]),
)
cuts = st.lists(st.tuples(st.integers(0, END), st.integers(1, 3600)), max_size=3)


def told(given_pods, gaps, restarts):
    """The samples of these pods, without those in gaps; at each restart a counter begins at zero again."""
    made = Traffic()
    for number, pod in enumerate(given_pods):
        end = min(END, pod["start"] + 60 * pod["minutes"])
        shares = {key: pod[key] for key in ("rate", "errors", "label")}
        made.pod(pod["version"], pod["start"], end, name=str(number), **shares)
    for number, series in enumerate(made.series):
        times, values = series.times - MIDNIGHT.timestamp(), series.values.copy()
        for at, _ in restarts:
            later = np.flatnonzero(times >= at)
            if len(later):
                values[later] -= values[later[0]]
        kept = ~np.logical_or.reduce(
            [np.zeros(len(times), bool), *((times >= a) & (times < a + n) for a, n in gaps)]
        )
        made.series[number] = replace(series, times=series.times[kept], values=values[kept])
    return made


@st.composite
def scenes(draw):
    """Most have a stable pod all along and a canary that comes with the rollout, as good or not."""
    stable = draw(steady)
    worse = draw(st.sampled_from([{}, {}, {"errors": 0.5}, {"label": 1}]))
    canary = stable | {"version": "2", "start": OPENED} | worse
    return [*([stable, canary] if draw(st.integers(0, 4)) else []), *draw(st.lists(pods, max_size=4))]


@pytest.mark.e2e
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(scenes(), cuts, cuts)
def test_a_canary_goes_on_only_by_what_was_counted(given_pods, gaps, restarts):
    made, weight, steps, weights = told(given_pods, gaps, restarts), 10, [OPENED], [10]
    for second in range(OPENED + 300, END, 600):
        now = MIDNIGHT + timedelta(seconds=second)
        began = tuple(MIDNIGHT + timedelta(seconds=step) for step in steps)
        rollout = Rollout(SETTINGS, "1", "2", weight, 1, began, tuple(weights))
        evidence, compared = measure(made, rollout, now)
        assert all(
            0 <= n <= m for each in compared for window in each.windows for n, m in (window[:2], window[2:])
        )
        assert not math.isnan(evidence.harm) and not any(math.isnan(each.safe) for each in evidence.findings)
        decision = decide(rollout, evidence, now)
        if decision.verdict is Verdict.ADVANCE:
            assert evidence.ready and len(evidence.findings) >= 4
            assert all(each.trials >= 50 and each.safe >= math.log(50) for each in evidence.findings)
            before = [p for p in given_pods if p["version"] == "1" and p["start"] < OPENED and p["rate"]]
            canary = [p for p in given_pods if p["version"] == "2" and p["rate"]]
            assert before and canary
            event(f"advanced to {decision.weight} %")
            weight = decision.weight
            steps, weights = [*steps, second], [*weights, weight]
        elif decision.verdict in (Verdict.ROLL_BACK, Verdict.FINISH):
            event(decision.verdict)
            return
        else:
            assert decision.weight == weight

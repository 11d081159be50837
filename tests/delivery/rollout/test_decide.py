import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bonafide.delivery.rollout.decide import Evidence, Finding, Rollout, Verdict, decide
from bonafide.delivery.rollout.settings import RolloutSettings

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SETTINGS = RolloutSettings()
SURE = math.log(1000)


def rollout(weight=10, waited=60.0, **settings):
    steps = tuple(NOON - timedelta(minutes=waited + 30 * n) for n in (1, 0))
    changed = SETTINGS.model_copy(update=settings)
    return Rollout(
        changed, stable="1", canary="2", weight=weight, replicas=1, steps=steps, weights=(0, weight)
    )


def finding(name="errors", harm=0.0, safe=SURE, weight=0.3, trials=5000):
    return Finding(name, harm, safe, weight, trials)


def evidence(*findings, ready=50.0):
    return Evidence(findings or (finding(),), NOON - timedelta(minutes=ready) if ready else None)


def test_a_step_that_is_shown_to_keep_its_margins_is_left_for_the_next():
    decision = decide(rollout(10), evidence(), NOON)
    assert (decision.verdict, decision.weight) == (Verdict.ADVANCE, 25)
    assert [decide(rollout(step), evidence(), NOON).weight for step in (0, 10, 25, 50)] == [10, 25, 50, 100]


def test_all_traffic_is_the_end_after_it_has_baked():
    assert decide(rollout(100), Evidence((), NOON - timedelta(minutes=30)), NOON).verdict is Verdict.FINISH
    assert decide(rollout(100), Evidence((), NOON - timedelta(minutes=5)), NOON).verdict is Verdict.HOLD


@pytest.mark.parametrize("weight", [0, 10, 50, 100])
@pytest.mark.parametrize("paused", [False, True])
def test_harm_rolls_back_at_any_step_and_time(weight, paused):
    harmed = evidence(finding("slow", harm=math.log(100 / 0.3) + 0.01), ready=None)
    decision = decide(rollout(weight, waited=0, paused=paused), harmed, NOON)
    assert (decision.verdict, decision.weight) == (Verdict.ROLL_BACK, 0)
    assert decision.why.startswith("slow speaks against version 2")


def test_the_weighted_mean_decides_and_a_missing_check_counts_as_one():
    assert evidence(finding(harm=math.log(10), weight=0.3)).harm == pytest.approx(math.log(0.7 + 3))
    just_below = evidence(finding(harm=math.log(99.2 / 0.3), weight=0.3))
    assert decide(rollout(), just_below, NOON).verdict is not Verdict.ROLL_BACK


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (evidence(ready=None), "its pods are not ready"),
        (evidence(ready=11.9), "the step has not baked"),
        (evidence(finding(trials=199)), "errors has 199 of 200 trials"),
        (evidence(finding(), finding("label real", safe=3.9)), "label real is not shown to keep its margin"),
        (Evidence((), NOON - timedelta(minutes=50)), "nothing was measured"),
    ],
)
def test_too_little_evidence_waits_and_past_the_deadline_rolls_back(told, why):
    early = decide(rollout(10, waited=14), told, NOON)
    assert (early.verdict, early.weight, early.why) == (Verdict.HOLD, 10, why)
    late = decide(rollout(10, waited=24 * 60 + 1), told, NOON)
    assert (late.verdict, late.weight) == (Verdict.ROLL_BACK, 0)


def test_pods_that_never_get_ready_are_rolled_back():
    decision = decide(rollout(10, waited=15.1), evidence(ready=None), NOON)
    assert decision.verdict is Verdict.ROLL_BACK
    assert decision.why == "its pods were not ready within 15 minutes"


def test_a_pause_holds_even_past_the_deadline():
    decision = decide(rollout(10, waited=24 * 60 + 1, paused=True), evidence(), NOON)
    assert (decision.verdict, decision.weight) == (Verdict.HOLD, 10)


def test_a_weight_that_a_person_chose_goes_on_to_the_next_step():
    assert decide(rollout(33), evidence(), NOON).weight == 50


def test_a_clock_that_is_behind_waits():
    told = evidence(ready=50)
    assert decide(rollout(10, waited=-30), told, NOON).verdict is Verdict.HOLD


logs = st.floats(-50, 50)
findings = st.lists(
    st.builds(Finding, st.sampled_from("ab"), logs, logs, st.just(0.2), st.integers(0, 9999)), max_size=4
)


@given(
    told=findings,
    weight=st.sampled_from([0, 5, 10, 25, 50, 75, 100]),
    waited=st.floats(-100, 5000),
    ready=st.one_of(st.none(), st.floats(0, 5000)),
    paused=st.booleans(),
)
def test_traffic_rises_only_by_a_passing_judgement(told, weight, waited, ready, paused):
    past = evidence(*told, ready=ready) if told else Evidence((), NOON - timedelta(minutes=ready or 0))
    decision = decide(rollout(weight, waited, paused=paused), past, NOON)
    if decision.weight > weight:
        assert decision.verdict is Verdict.ADVANCE and not paused and past.ready
        assert told and all(each.safe >= math.log(50) and each.trials >= 200 for each in told)
        assert past.harm < math.log(100)
    harmed = replace(past, findings=(*told, finding(harm=20.0, weight=0.1)))
    assert decide(rollout(weight, waited, paused=paused), harmed, NOON).verdict is Verdict.ROLL_BACK


@pytest.mark.parametrize(
    ("requests", "verdict"),
    [
        ((0, 1000), Verdict.HOLD),  # a KServe that does not divide requests
        ((0, 999), Verdict.ADVANCE),  # too few to tell
        ((300, 9700), Verdict.HOLD),
        ((1000, 9000), Verdict.ADVANCE),
        ((2400, 7600), Verdict.ADVANCE),
        ((5000, 5000), Verdict.ROLL_BACK),  # a canary behind the stable version's own address
        ((1000, 0), Verdict.ROLL_BACK),
    ],
)
def test_a_canary_whose_requests_are_not_its_share_goes_no_further(requests, verdict):
    told = replace(evidence(), requests=requests)
    decision = decide(rollout(10), told, NOON)
    assert decision.verdict is verdict
    assert (verdict is Verdict.ADVANCE) is ("is its share" not in decision.why)
    late = decide(rollout(10, waited=1500), told, NOON)
    assert late.verdict is (Verdict.ADVANCE if verdict is Verdict.ADVANCE else Verdict.ROLL_BACK)


def test_a_share_that_a_person_lowered_is_waited_for():
    """The cluster follows minutes later, and the canary did nothing wrong."""
    lowered = replace(rollout(10), weights=(50, 10))
    decision = decide(lowered, replace(evidence(), requests=(5000, 5000)), NOON)
    assert decision.verdict is Verdict.HOLD and "it gets 50.0% of the requests" in decision.why


def test_with_all_or_none_of_the_traffic_there_is_no_share_to_look_at():
    told = replace(evidence(), requests=(500, 5000))
    assert [decide(rollout(weight), told, NOON).verdict for weight in (0, 100)] == ["advance", "finish"]


def test_a_gap_in_the_samples_is_no_missing_pod():
    blind = Evidence((), None, NOON - timedelta(minutes=40), blind=True)
    assert decide(rollout(10), blind, NOON).why == "nothing is seen of either version"
    assert decide(rollout(10, waited=24 * 60 + 1), blind, NOON).verdict is Verdict.ROLL_BACK


def test_pods_that_are_lost_have_their_time_to_come_back():
    for minutes, verdict in ((14, Verdict.HOLD), (16, Verdict.ROLL_BACK)):
        lost = Evidence((), None, NOON - timedelta(minutes=minutes))
        assert decide(rollout(10), lost, NOON).verdict is verdict


def test_time_that_a_person_paused_does_not_count():
    resumed = replace(rollout(10, waited=30 * 60), resumed=NOON - timedelta(minutes=5))
    assert decide(resumed, evidence(finding(trials=150)), NOON).verdict is Verdict.HOLD

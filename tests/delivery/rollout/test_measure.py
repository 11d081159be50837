import math
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from bonafide.delivery.rollout.checks import REQUESTS, table
from bonafide.delivery.rollout.decide import Rollout
from bonafide.delivery.rollout.measure import harm_by_window, measure, pods, presence
from bonafide.delivery.rollout.samples import Series
from bonafide.delivery.rollout.settings import RolloutSettings
from tests.delivery.rollout.traffic import MIDNIGHT, Traffic

HOUR = 3600
OPENED, BEGAN = 10 * HOUR, 10 * HOUR + 600


def at(seconds):
    return MIDNIGHT + timedelta(seconds=seconds)


def rollout(weight=10, replicas=1):
    steps = (at(OPENED), at(BEGAN))[: 1 + bool(weight)]
    return Rollout(RolloutSettings(), "1", "2", weight, replicas, steps, (0, weight)[: len(steps)])


def traffic(hours=2.0, rate=20.0, **canary):
    """Two stable pods all day, and a canary at 10 %."""
    made, end = Traffic(), BEGAN + hours * HOUR
    for name in "ab":
        made.pod("1", 0, end, 0.45 * rate, errors=0.005, name=name)
    made.pod("2", OPENED + 45, BEGAN, 0)
    made.pod("2", BEGAN, end, 0.1 * rate, **{"errors": 0.005} | canary, name="b")
    return made, at(end)


def test_increases_are_whole_and_a_restart_counts_from_zero():
    times = np.arange(0, 100, 10, dtype=float)
    values = np.array([5, 5, 7, 8, 2, 2, 3, 3, 9, 9], float)
    series = Series("v1", "a", "m", {}, times, values)
    assert series.growth(np.array([0, 30, 60, 90], float)).tolist() == [3, 3, 6]
    assert series.growth(np.array([-100, 200], float)).tolist() == [12]
    assert series.growth(np.array([45, 75], float)).tolist() == [1]


def test_counts_are_summed_over_other_labels_and_kept_apart_by_pod():
    made = Traffic()
    made.pod("1", 0, 600, 10, name="a")
    made.pod("1", 0, 600, 10, name="b")
    made.pod("2", 0, 600, 10)
    edges = MIDNIGHT.timestamp() + np.arange(0, 601, 60.0)
    found = table(made.read(REQUESTS.metric, edges[0], edges[-1]), REQUESTS, "v1", edges)
    assert found.counts.shape == (2, 3, 10)
    total = sum(
        each.values[-1] for each in made.series if each.metric == REQUESTS.metric and each.predictor == "v1"
    )
    assert found.counts.sum() == total


@pytest.mark.parametrize("weight", [0, 10])
def test_a_canary_is_ready_once_all_its_pods_answer(weight):
    made = Traffic()
    made.pod("1", 0, 12 * HOUR, 1)
    assert presence(made, rollout(weight), at(BEGAN + 60)).ready is None
    made.pod("2", OPENED + 30, 12 * HOUR, 1)
    began = OPENED + 30 if not weight else BEGAN
    assert presence(made, rollout(weight), at(BEGAN + 60)).ready == at(began)
    assert presence(made, rollout(weight, replicas=2), at(BEGAN + 60)).ready is None
    made.pod("2", BEGAN + 90, 12 * HOUR, 1, name="second")
    assert presence(made, rollout(weight, replicas=2), at(BEGAN + 300)).ready == at(BEGAN + 90)
    assert pods(made, rollout(weight), at(BEGAN + 300)) == 1
    assert presence(made, rollout(weight), at(13 * HOUR)).ready is None


def test_versions_that_do_not_differ_keep_their_margins_and_are_not_harmed():
    made, now = traffic(hours=8)
    evidence, compared = measure(made, rollout(), now)
    names = [finding.name for finding in evidence.findings]
    assert names == ["errors", "slower than 0.0144 s", "label fake", "label real", "confidence up to 0.75"]
    assert evidence.harm < math.log(10)
    assert all(finding.safe > math.log(50) for finding in evidence.findings)
    assert sum(finding.weight for finding in evidence.findings) == pytest.approx(0.85)
    requests = sum(window.canary_requests for window in compared[0].windows)
    assert requests == pytest.approx(2 * (8 * HOUR - 120), rel=0.05)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"errors": 0.02}, "errors"),
        ({"slow": 0.5}, "slower than 0.0144 s"),
        ({"label": 0.5}, "label fake"),
        ({"sure": 0.7}, "confidence up to 0.75"),
    ],
)
def test_each_kind_of_harm_is_seen_by_its_check(change, name):
    made, now = traffic(hours=2, **change)
    evidence, _ = measure(made, rollout(), now)
    assert evidence.harm > math.log(100)
    found = {finding.name: finding for finding in evidence.findings}
    assert found[name].harm > math.log(100)
    assert found[name].safe < math.log(50)


def test_a_canary_may_be_surer_where_nobody_judges_that():
    made, now = traffic(hours=2, sure=0.7)
    judged = rollout()
    free = judged.settings.margins.model_copy(update={"confidence_points": None})
    told = replace(judged, settings=judged.settings.model_copy(update={"margins": free}))
    evidence, _ = measure(made, told, now)
    assert not [finding for finding in evidence.findings if finding.name.startswith("confidence")]
    assert evidence.harm < math.log(100)


def test_windows_of_a_warm_up_are_left_out_and_a_step_has_its_own():
    made, now = traffic(hours=1)
    later = rollout()
    later = Rollout(later.settings, "1", "2", 25, 1, (*later.steps, at(BEGAN + 1800)), (0, 10, 25))
    (_, first), (_, second) = (measure(made, each, now) for each in (rollout(), later))
    assert (len(first[0].windows), first[0].step) == (58, 0)
    assert (len(second[0].windows), second[0].step) == (56, 28)


def test_requests_are_counted_in_the_present_step():
    made, now = traffic()
    evidence, _ = measure(made, rollout(), now)
    canary, stable = evidence.requests
    assert canary + stable == pytest.approx(20 * (2 * HOUR - 120), rel=0.03)
    assert canary / (canary + stable) == pytest.approx(0.1, rel=0.1)
    assert measure(made, rollout(weight=0), now)[0].requests == (0, 0)


def test_a_stable_version_that_nobody_scrapes_has_no_share_of_requests():
    made, now = traffic()
    gone = now.timestamp() - 600
    for number, series in enumerate(made.series):
        if series.predictor == "v1":
            kept = series.times < gone
            made.series[number] = replace(series, times=series.times[kept], values=series.values[kept])
    assert measure(made, rollout(), now)[0].requests == (0, 0)


def test_looking_again_gives_the_same_windows():
    made, now = traffic(hours=1)
    (_, early), (_, late) = (measure(made, rollout(), each) for each in (now - timedelta(minutes=17), now))
    assert list(late[0].windows)[: len(early[0].windows)] == list(early[0].windows)


def test_pods_that_differ_anyway_damp_the_evidence():
    made, end = Traffic(), BEGAN + 2 * HOUR
    for name, errors in (("a", 0.002), ("b", 0.01)):
        made.pod("1", 0, end, 9, errors=errors, name=name)
    made.pod("2", OPENED, end, 2, errors=0.005)
    _, compared = measure(made, rollout(), at(end))
    assert compared[0].damping < 0.2
    assert compared[2].damping > 0.5


def test_without_samples_nothing_is_found_and_nothing_is_shown():
    evidence, _ = measure(Traffic(), rollout(), at(BEGAN + HOUR))
    assert evidence.ready is None
    assert all(finding.trials == 0 and finding.safe < math.log(50) for finding in evidence.findings)


@pytest.mark.parametrize("label", [0.03, 0.97])
def test_a_rare_label_need_not_be_shown_to_be_no_rarer_by_the_margin(label):
    made, end = Traffic(), BEGAN + 2 * HOUR
    made.pod("1", 0, end, 18, label=label)
    made.pod("2", OPENED, end, 2, label=label)
    evidence, compared = measure(made, rollout(), at(end))
    labels = [each.check for each in compared if each.check.name.startswith("label")]
    assert all((check.above is None) != (check.below is None) for check in labels)
    assert all(finding.safe > math.log(50) for finding in evidence.findings)


def test_without_a_day_before_every_check_waits():
    made, end = Traffic(), BEGAN + 2 * HOUR
    made.pod("1", OPENED + 300, end, 18)
    made.pod("2", OPENED + 300, end, 2, label=0.9, slow=0.9)
    evidence, _ = measure(made, rollout(), at(end))
    assert len(evidence.findings) == 4
    assert {finding.trials for finding in evidence.findings} == {0}
    assert all("showed too little" in finding.name for finding in evidence.findings)


def test_a_label_that_the_stable_version_never_gave_moves_the_others():
    made, end = Traffic(), BEGAN + 2 * HOUR
    made.pod("1", 0, end, 18, label=0.5)
    made.pod("2", OPENED, end, 2, label=0.5)
    new = [each for each in made.series if each.predictor == "v2" and each.labels.get("label") == "fake"]
    made.series += [replace(each, labels={"label": "new"}, values=2 * each.values) for each in new]
    evidence, _ = measure(made, rollout(), at(end))
    assert evidence.harm > math.log(100)


def test_margins_do_not_grow_where_yesterday_was_better():
    """At 76 % of such canaries a margin from yesterday's share let the canary go on."""
    made, end = Traffic(), BEGAN + 3 * HOUR
    for start, stop, errors, name in ((0, BEGAN, 0.0002, "a"), (BEGAN, end, 0.005, "b")):
        made.pod("1", start, stop, 45, errors=errors, name=name)
    made.pod("2", BEGAN, end, 5, errors=0.02)
    evidence, _ = measure(made, rollout(), at(end))
    errors = next(finding for finding in evidence.findings if finding.name == "errors")
    assert errors.safe < math.log(50)
    assert errors.harm > math.log(100)


def test_a_canary_with_all_traffic_that_fails_is_harmed():
    made, end = Traffic(), BEGAN + HOUR
    made.pod("1", 0, BEGAN, 20)
    made.pod("2", BEGAN, end, 20, errors=0.9)
    found, _ = measure(made, rollout(weight=100), at(end))
    assert found.harm > math.log(100)
    good, end = Traffic(), BEGAN + HOUR
    good.pod("1", 0, BEGAN, 20)
    good.pod("2", BEGAN, end, 20)
    assert measure(good, rollout(weight=100), at(end))[0].harm < math.log(2)


@pytest.mark.parametrize("before", [0.2, 0.25, 0.9])
def test_a_canary_with_all_traffic_may_mend_a_version_that_failed(before):
    made, end = Traffic(), BEGAN + HOUR
    made.pod("1", 0, BEGAN, 20, errors=before)
    made.pod("2", BEGAN, end, 20)
    assert measure(made, rollout(weight=100), at(end))[0].harm < 0.1
    worse = Traffic()
    worse.pod("1", 0, BEGAN, 20, errors=before)
    worse.pod("2", BEGAN, end, 20, errors=0.95)
    assert measure(worse, rollout(weight=100), at(end))[0].harm > math.log(100)


def test_replays_in_a_second_step_without_traffic_are_not_judged():
    made, now = traffic(hours=1)
    again = (at(OPENED), at(BEGAN), at(BEGAN + 1200), at(BEGAN + 2400))
    twice = Rollout(RolloutSettings(), "1", "2", 10, 1, again, (0, 10, 0, 10))
    _, compared = measure(made, twice, now)
    ends = np.array(compared[0].ends) - at(0).timestamp() - BEGAN
    assert len(ends) == 18 + 18
    assert not ((ends > 1200) & (ends <= 2400 + 120)).any()


def test_the_evidence_by_window_ends_with_that_of_all():
    made, now = traffic(hours=1, errors=0.02)
    evidence, compared = measure(made, rollout(), now)
    assert harm_by_window(compared)[-1][1] == pytest.approx(evidence.harm)


def test_a_canary_with_all_traffic_is_seen_though_the_stable_version_has_no_pods_left():
    """As in Knative mode, which takes them away."""
    made, end = Traffic(), BEGAN + HOUR
    made.pod("1", 0, BEGAN, 20)
    made.pod("2", OPENED, end, 20)
    seen = presence(made, rollout(weight=100), at(end))
    assert seen.ready and not seen.blind


def test_samples_that_are_missing_of_both_versions_are_no_missing_pods():
    made, _ = traffic(hours=1)
    seen = presence(made, rollout(), at(BEGAN + HOUR + 600))
    assert (seen.ready, seen.blind) == (None, True)
    assert seen.last == at(BEGAN + HOUR)

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import REGISTRY, generate_latest

from bonafide.feedback.inspections import Inspection, Inspections, Past, hide, show
from bonafide.telemetry import metrics
from tests.feedback.conftest import NOON


@pytest.fixture
def inspections(store):
    return Inspections(store.database)


def inspection(number: int = 0, **changes) -> Inspection:
    settings = {
        "id": f"i-{number}",
        "time": NOON + timedelta(hours=number),
        "task": "authenticity",
        "version": "7",
        "kind": "none",
        "compared": 800,
        "threshold": 1.3,
        "scores": {"mmd": 0.25},
        "quality": {"reviewed": 100.0, "accuracy": 0.9, "accuracy_floor": 0.85},
        "why": "nothing calls for it",
    }
    return Inspection(**(settings | changes))


def add(inspections: Inspections, made: Inspection) -> Inspection:
    return inspections.add(made.id, made.task, lambda _: made)


def test_they_are_kept_as_they_are(inspections):
    add(inspections, inspection())
    assert inspections.find("i-0") == inspection()
    assert inspections.find("i-1") is None


def test_one_of_an_id_that_is_there_changes_nothing(inspections):
    add(inspections, inspection())
    assert add(inspections, inspection(version="8")) == inspection()
    assert inspections.newest("authenticity", 10) == [inspection()]


def test_the_newest_come_first(inspections):
    for number in (1, 3, 2):
        add(inspections, inspection(number))
    add(inspections, inspection(9, task="cifake"))
    assert [each.id for each in inspections.newest("authenticity", 2)] == ["i-3", "i-2"]
    assert {(each.task, each.id) for each in inspections.last(NOON)} == {
        ("authenticity", "i-3"),
        ("cifake", "i-9"),
    }


def test_tasks_that_were_looked_at_in_one_moment_have_one_each(inspections):
    add(inspections, inspection(1))
    add(inspections, inspection(2))
    add(inspections, inspection(3, task="cifake", time=inspection(1).time))
    assert sorted(each.id for each in inspections.last(NOON)) == ["i-2", "i-3"]


def test_one_is_made_from_the_newest_of_its_task(inspections):
    add(inspections, inspection(1, retrain=True))
    add(inspections, inspection(2, retrain=True))
    add(inspections, inspection(3))
    add(inspections, inspection(4, task="cifake", retrain=True))
    given = []
    kept = inspections.add("i-5", "authenticity", lambda past: given.append(past) or inspection(5))
    assert given[0].newest.id == "i-3"
    assert [each.id for each in given[0].trainings] == ["i-2", "i-1"]
    assert inspections.past("authenticity").newest.id == "i-5"
    assert given[0].since == {"7"}
    assert kept == inspection(5)
    assert inspections.add("i-6", "pets", lambda past: given.append(past) or inspection(6, task="pets"))
    assert given[1] == Past()


def test_of_several_at_once_each_sees_the_one_before(inspections):
    def make(number):
        return lambda past: inspection(number, retrain=not past.trainings)

    with ThreadPoolExecutor(8) as pool:
        made = list(
            pool.map(lambda number: inspections.add(f"i-{number}", "authenticity", make(number)), range(8))
        )
    assert sum(each.retrain for each in made) == 1


def test_one_that_a_clock_ahead_dated_tells_nothing(inspections):
    add(inspections, inspection(1, retrain=True))
    add(inspections, inspection(2, retrain=True, time=datetime.now(UTC) + timedelta(days=400)))
    assert [each.id for each in inspections.last(NOON)] == ["i-1"]
    past = inspections.past("authenticity")
    assert (past.newest.id, [each.id for each in past.trainings]) == ("i-1", ["i-1"])


def test_what_nobody_looks_at_any_more_is_not_told(inspections):
    add(inspections, inspection(1))
    assert inspections.last(inspection(1).time + timedelta(seconds=1)) == []


def test_gauges_tell_it():
    show(inspection(kind="looks"))
    assert metrics.DRIFT_DETECTED.labels("authenticity", "looks")._value.get() == 1
    assert metrics.DRIFT_DETECTED.labels("authenticity", "mix")._value.get() == 0
    assert metrics.DRIFT_SCORE.labels("authenticity", "mmd")._value.get() == 0.25
    assert metrics.DRIFT_THRESHOLD.labels("authenticity", "mmd")._value.get() == 1.3
    assert metrics.DRIFT_CHECKED.labels("authenticity")._value.get() == NOON.timestamp()
    assert metrics.QUALITY.labels("authenticity", "accuracy_floor")._value.get() == 0.85


def test_what_is_not_known_any_more_is_not_told():
    show(inspection(kind="looks", quality={"accuracy_high": 0.7, "accuracy_floor": 0.85}))
    show(
        inspection(1, version="8", kind="too-few", scores={}, quality={"reviewed": 0, "accuracy_floor": 0.85})
    )
    exposed = [
        sample
        for metric in (metrics.QUALITY, metrics.DRIFT_SCORE, metrics.DRIFT_THRESHOLD)
        for family in metric.collect()
        for sample in family.samples
        if sample.labels["task"] == "authenticity"
    ]
    assert {sample.labels.get("metric") for sample in exposed} == {"reviewed", "accuracy_floor"}


def test_a_task_that_nobody_looks_at_any_more_has_no_gauges():
    show(inspection(task="forgotten", kind="looks"))
    hide("forgotten")
    told = generate_latest(REGISTRY).decode()
    assert 'task="forgotten"' not in told

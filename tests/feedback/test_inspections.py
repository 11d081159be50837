from datetime import timedelta

import pytest

from bonafide.feedback.inspections import Inspection, Inspections, show
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


def test_they_are_kept_as_they_are(inspections):
    inspections.add(inspection())
    assert inspections.find("i-0") == inspection()
    assert inspections.find("i-1") is None


def test_one_of_an_id_that_is_there_changes_nothing(inspections):
    inspections.add(inspection())
    inspections.add(inspection(version="8"))
    assert inspections.newest("authenticity", 10) == [inspection()]


def test_the_newest_come_first(inspections):
    for number in (1, 3, 2):
        inspections.add(inspection(number))
    inspections.add(inspection(9, task="cifake"))
    assert [each.id for each in inspections.newest("authenticity", 2)] == ["i-3", "i-2"]
    assert {(each.task, each.id) for each in inspections.last()} == {
        ("authenticity", "i-3"),
        ("cifake", "i-9"),
    }


def test_tasks_that_were_looked_at_in_one_moment_have_one_each(inspections):
    inspections.add(inspection(1))
    inspections.add(inspection(2))
    inspections.add(inspection(3, task="cifake", time=inspection(1).time))
    assert sorted(each.id for each in inspections.last()) == ["i-2", "i-3"]


def test_the_last_training_is_found(inspections):
    assert inspections.last_training("authenticity") is None
    inspections.add(inspection(1, retrain=True))
    inspections.add(inspection(2, retrain=True))
    inspections.add(inspection(3))
    inspections.add(inspection(4, task="cifake", retrain=True))
    assert inspections.last_training("authenticity").id == "i-2"


def test_gauges_tell_it():
    show(inspection(kind="looks"))
    assert metrics.DRIFT_DETECTED.labels("authenticity", "looks")._value.get() == 1
    assert metrics.DRIFT_DETECTED.labels("authenticity", "mix")._value.get() == 0
    assert metrics.DRIFT_SCORE.labels("authenticity", "mmd")._value.get() == 0.25
    assert metrics.DRIFT_THRESHOLD.labels("authenticity", "mmd")._value.get() == 1.3
    assert metrics.DRIFT_CHECKED.labels("authenticity")._value.get() == NOON.timestamp()
    assert metrics.QUALITY.labels("authenticity", "accuracy_floor")._value.get() == 0.85

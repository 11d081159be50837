from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from types import SimpleNamespace

import pytest

from bonafide.feedback import reviews as module
from bonafide.feedback.errors import ContradictionError, UnknownError
from bonafide.feedback.figures import Figures, figures
from bonafide.feedback.opinion import Reviewed
from bonafide.feedback.reviews import Reviews
from bonafide.telemetry import metrics
from tests.feedback.conftest import NOON, prediction

LATER = NOON + timedelta(days=30)


@pytest.fixture
def reviews(store):
    """Predictions 0 to 9: real, ai-generated, deepfake and again; those up to 5 have an image."""
    kept = {number: {"image": f"images/{number}"} for number in range(6)}
    store.add([prediction(number, **kept.get(number, {})) for number in range(10)])
    return Reviews(store.database)


@pytest.fixture
def clock(monkeypatch):
    """The time that is noted; changed by the test."""
    now = SimpleNamespace(time=NOON + timedelta(hours=1))
    monkeypatch.setattr(module, "datetime", SimpleNamespace(now=lambda _: now.time))
    return now


def counted(state):
    return metrics.FEEDBACK.labels("authenticity", state)._value.get()


def test_a_word_is_filed_and_confirmed(reviews, clock):
    before = counted("new"), counted("confirmed")
    filed, new = reviews.file("p-1", "real", "anna", "I took it.")
    assert (new, filed.verdict, filed.state, filed.note) == (True, "wrong", "new", "I took it.")
    assert filed.time == clock.time
    assert reviews.find(filed.id) == filed
    clock.time += timedelta(hours=2)
    confirmed = reviews.decide(filed.id, "confirmed", "berta")
    assert (confirmed.state, confirmed.decided, confirmed.decided_by) == ("confirmed", clock.time, "berta")
    assert reviews.find(filed.id) == confirmed
    assert (counted("new"), counted("confirmed")) == (before[0] + 1, before[1] + 1)
    assert reviews.file("p-0", "real", "anna")[0].verdict == "right"


def test_what_waits_is_counted_by_task(reviews, store):
    assert reviews.waiting() == {}
    store.add([prediction(20, task="cats")])
    for number in (1, 2, 20):
        reviews.file(f"p-{number}", "real", "anna")
    filed, _ = reviews.file("p-1", "real", "berta")
    assert reviews.waiting() == {"authenticity": 3, "cats": 1}
    reviews.decide(filed.id, "confirmed", "carla")
    assert reviews.waiting() == {"authenticity": 2, "cats": 1}


def test_a_reviewer_has_one_word_and_may_change_it_until_it_is_decided(reviews):
    first, _ = reviews.file("p-1", "real", "anna")
    assert reviews.file("p-1", "real", "anna") == (first, False)
    changed, new = reviews.file("p-1", "ai-generated", "anna")
    assert (changed.id, changed.verdict, new) == (first.id, "right", False)
    assert len(reviews.newest(10)) == 1
    decided = reviews.decide(first.id, "confirmed", "berta")
    assert reviews.file("p-1", "ai-generated", "anna") == (decided, False)
    with pytest.raises(ContradictionError, match="your word on p-1 was 'ai-generated' and is confirmed"):
        reviews.file("p-1", "real", "anna")


def test_one_label_is_confirmed_whoever_says_what(reviews):
    mine, _ = reviews.file("p-1", "real", "anna")
    other, _ = reviews.file("p-1", "deepfake", "berta")
    reviews.decide(mine.id, "confirmed", "carla")
    with pytest.raises(ContradictionError, match="p-1 is confirmed to be 'real', as anna said"):
        reviews.decide(other.id, "confirmed", "carla")
    with pytest.raises(ContradictionError, match="and not 'deepfake'"):
        reviews.file("p-1", "deepfake", "dora")
    assert reviews.file("p-1", "real", "dora")[1]
    assert reviews.decide(other.id, "rejected", "carla").state == "rejected"


def test_to_decide_the_same_again_is_well_and_the_opposite_is_not(reviews):
    filed, _ = reviews.file("p-1", "real", "anna")
    decided = reviews.decide(filed.id, "rejected", "berta")
    assert reviews.decide(filed.id, "rejected", "carla") == decided
    with pytest.raises(ContradictionError, match="is rejected already, by berta"):
        reviews.decide(filed.id, "confirmed", "carla")


def test_what_is_not_there_is_told(reviews):
    with pytest.raises(UnknownError, match="no prediction 'none'; one of the last seconds may be on its way"):
        reviews.file("none", "real", "anna")
    with pytest.raises(UnknownError, match="no feedback 'none'"):
        reviews.decide("none", "confirmed", "anna")
    with pytest.raises(ContradictionError, match="'cat' is none of the model's labels, ai-generated"):
        reviews.file("p-1", "cat", "anna")
    assert reviews.find("none") is None


def test_a_thousand_at_once(reviews):
    def file(number):
        return reviews.file(f"p-{number % 10}", "real", f"reviewer {number % 50}")

    with ThreadPoolExecutor(16) as pool:
        filed = list(pool.map(file, range(1000)))
    assert sum(new for _, new in filed) == len(reviews.newest(2000)) == 50


def test_one_of_two_opposites_is_confirmed_however_they_race(reviews):
    words = [reviews.file("p-1", label, label)[0] for label in ("real", "deepfake", "ai-generated")]

    def confirm(word):
        try:
            return reviews.decide(word.id, "confirmed", "anna")
        except ContradictionError:
            return None

    with ThreadPoolExecutor(3) as pool:
        assert sum(decided is not None for decided in pool.map(confirm, words)) == 1


def test_the_newest_come_first_and_may_be_asked_for_by_state_and_task(reviews, clock):
    ids = []
    for number in range(4):
        clock.time += timedelta(seconds=1)
        ids.append(reviews.file(f"p-{number}", "real", "anna")[0].id)
    reviews.decide(ids[0], "confirmed", "berta")
    assert [each.id for each in reviews.newest(3)] == ids[:0:-1]
    assert [each.id for each in reviews.newest(9, "authenticity", "confirmed")] == ids[:1]
    assert reviews.newest(9, "cats") == []


def test_what_is_confirmed_and_has_an_image_is_for_training(reviews, clock):
    for number in (2, 1, 8):
        clock.time += timedelta(minutes=1)
        reviews.decide(reviews.file(f"p-{number}", "real", "anna")[0].id, "confirmed", "berta")
    reviews.file("p-3", "real", "anna")
    found = reviews.confirmed("authenticity", clock.time)
    assert [(each.prediction_id, each.label, each.reviewer, each.image) for each in found] == [
        ("p-2", "real", "anna", "images/2"),
        ("p-1", "real", "anna", "images/1"),
    ]
    assert len(reviews.confirmed("authenticity", clock.time - timedelta(minutes=2))) == 1
    assert reviews.confirmed("cats", clock.time) == []


def test_what_is_confirmed_is_not_forgotten_unless_that_is_asked_for(reviews, store):
    reviews.decide(reviews.file("p-1", "real", "anna")[0].id, "confirmed", "berta")
    reviews.file("p-2", "real", "anna")
    count, images = store.forget(LATER)
    assert (count, store.count(), len(reviews.newest(9))) == (9, 1, 1)
    assert images == [f"images/{number}" for number in (0, 2, 3, 4, 5)]
    assert store.forget(LATER, confirmed=True) == (1, ["images/1"])
    assert reviews.newest(9) == []


def test_figures_come_from_what_was_looked_at(reviews, store, clock):
    said = {"p-0": "real", "p-1": "real", "p-2": "deepfake", "p-4": "real", "p-5": "ai-generated"}
    for number, (identity, label) in enumerate(said.items()):
        word, _ = reviews.file(identity, label, "anna")
        clock.time = NOON + timedelta(hours=number, minutes=int(identity[2:]))
        reviews.decide(word.id, "confirmed", "berta")
    second, _ = reviews.file("p-0", "real", "berta")
    clock.time = NOON + timedelta(hours=9)
    reviews.decide(second.id, "confirmed", "carla")  # counts once, and not from here
    reviews.file("p-7", "real", "anna")
    found = figures(store.database, "authenticity", "real", NOON, LATER)
    assert found == Figures(
        predictions=10, reviewed=5, waiting=1, agreement=0.4, alarms=4, false_alarms=0.5, hours=2.0
    )
    early = figures(store.database, "authenticity", "real", NOON, NOON + timedelta(minutes=1))
    assert (early.predictions, early.reviewed, early.agreement, early.false_alarms) == (1, 1, 1.0, None)


def test_a_clock_that_was_set_back_makes_no_negative_time(reviews, store, clock):
    clock.time = NOON - timedelta(hours=5)
    reviews.decide(reviews.file("p-1", "real", "anna")[0].id, "confirmed", "berta")
    assert figures(store.database, "authenticity", "real", NOON, LATER).hours == 0


def test_without_reviews_nothing_is_claimed(store):
    found = figures(store.database, "authenticity", "real", NOON, LATER)
    assert found == Figures(0, 0, 0, None, 0, None, None)


def test_what_was_reviewed_is_told_by_image(reviews, store, clock):
    store.add(
        [
            prediction(20, sha256=None),
            prediction(21, sha256=prediction(1).sha256),
            prediction(22, version="8"),
        ]
    )
    for name, label, state in (
        ("p-1", "real", "confirmed"),
        ("p-2", "deepfake", "confirmed"),
        ("p-3", "real", "rejected"),
        ("p-20", "deepfake", "confirmed"),
        ("p-21", "real", "confirmed"),
        ("p-22", "real", "confirmed"),
    ):
        reviews.decide(reviews.file(name, label, "anna")[0].id, state, "berta")
    reviews.decide(reviews.file("p-2", "deepfake", "carl")[0].id, "confirmed", "berta")
    shared = prediction(1).sha256
    assert reviews.reviewed("authenticity", "7", NOON + timedelta(minutes=1)) == [
        Reviewed(shared, "ai-generated", "real"),
        Reviewed(prediction(2).sha256, "deepfake", "deepfake"),
        Reviewed("p-20", "deepfake", "deepfake"),
        Reviewed(shared, "real", "real"),
    ]
    assert len(reviews.reviewed("authenticity", "7", NOON + timedelta(minutes=2))) == 3

from datetime import UTC, datetime, timedelta

import pytest
from PIL import Image

from bonafide.delivery.demo import loop
from bonafide.delivery.demo.judged import Judged, judge
from bonafide.delivery.demo.loop_picture import draw
from bonafide.errors import BonafideError
from bonafide.queue import Queue, Run, StepState
from bonafide.task import load_task
from bonafide.traffic.outcome import Row
from tests.feedback.test_inspections import inspection

START = datetime(2026, 11, 29, 12, tzinfo=UTC)


def row(second: int, version: str, right: bool) -> Row:
    when = (START + timedelta(seconds=second)).isoformat()
    answer = "real" if right else "deepfake"
    return Row(when, "new", "a.jpg", "real", "", 0, answer, 0.9, version, version, 200, 0.01, "id")


def test_the_story_becomes_a_picture(tmp_path):
    story = loop.Story(lambda _: None)
    story.note("begins", "known")
    story.events = [(START, "known"), (START + timedelta(seconds=90), "new generator")]
    story.rows = [row(second, "1" if second < 100 else "2", second % 3 > 0) for second in range(200)]
    story.inspections = [inspection(0, time=START, version="1"), inspection(1, version="2")]
    with Image.open(draw(story, tmp_path / "loop.png")) as drawn:
        assert drawn.size == (1100, 660)


def test_events_are_told_with_their_times():
    told = []
    story = loop.Story(told.append)
    story.note("drift is found", "drift")
    story.note("more")
    assert [mark for _, mark in story.events] == ["drift"]
    assert told[0].endswith("  drift is found")


def test_waiting_ends_with_what_came_or_with_a_sentence():
    run = Run(pipeline="monitoring", task="authenticity")
    assert loop._until(lambda: run, 1, "never") is run
    with pytest.raises(BonafideError, match="no alert started the pipeline within -1 s"):
        loop._until(lambda: None, -1, "no alert started the pipeline")


def test_a_run_that_ends_without_training_is_told():
    queue = Queue()
    run = queue.add(Run(pipeline="monitoring", task="authenticity"))
    assert loop._training(run.id) is None
    queue.note(run.id, state="running", steps=(StepState(name="ingest", state="running"),))
    assert loop._training(run.id).id == run.id
    queue.note(run.id, state="failed", message="the store does not answer")
    with pytest.raises(BonafideError, match="the run failed without training: the store does not answer"):
        loop._training(run.id)


def test_versions_are_judged_by_images(monkeypatch, tmp_path):
    for number, label in enumerate(("real", "real", "deepfake")):
        (tmp_path / label).mkdir(exist_ok=True)
        (tmp_path / label / f"{number}.jpg").touch()
    right = {"1": {"real/0.jpg"}, "2": {"real/0.jpg", "real/1.jpg"}}
    monkeypatch.setattr("bonafide.delivery.demo.judged._right", lambda _, number, *__: right[number])
    assert judge("authenticity", tmp_path, tmp_path / "out") == Judged(3, (1, 2), (0, 1))


def test_traffic_that_fails_is_told_and_not_taken_for_calm(monkeypatch, tmp_path):
    def refuse(*_):
        raise BonafideError("the service does not answer")

    monkeypatch.setattr(loop, "simulate", refuse)
    monkeypatch.setattr(loop, "Pictures", lambda *_: None)
    service = loop.Service(load_task("authenticity"), tmp_path, "", "http://127.0.0.1:9", "", "token")
    with (
        pytest.raises(BonafideError, match="the service does not answer"),
        loop._asking(service, tmp_path, 1, loop.Story(lambda _: None)),
    ):
        pass

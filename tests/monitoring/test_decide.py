"""When training begins, by what was found; then for real, with a store."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bonafide.drift.check import DRIFT, Found
from bonafide.drift.judge import Detector, Judgement
from bonafide.errors import ConfigError, DataError
from bonafide.feedback.images import Images
from bonafide.feedback.inspections import Inspection, Inspections, Past
from bonafide.feedback.prediction import Prediction
from bonafide.feedback.reviews import Reviews
from bonafide.feedback.store import opened
from bonafide.home import own_store
from bonafide.monitoring.decide import Situation, decide, decided, read_decision
from bonafide.monitoring.quality import Quality
from bonafide.source import FeedbackSource, FolderSource
from bonafide.task import Monitoring, Task, load_task
from tests.data.pictures import encode, picture
from tests.monitoring.test_quality import measured, reviewed

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
UNKNOWN = Quality(reviewed=0, accuracy=None)


def found(kind="none", days=1.0) -> Found:
    return Found(
        task="authenticity",
        version="3",
        model_digest="m",
        created=(NOW - timedelta(days=days)).isoformat(),
        alpha=0.05,
        begin=1.0,
        end=2.0,
        predictions=900,
        compared=800,
        reference=500,
        judgement=Judgement(
            kind=kind,
            detectors=(
                Detector(name="mmd", of="embedding", distance=0.1, p=1e-3, adjusted=1e-3, found=True),
                Detector(name="brightness", of="brightness", distance=0.1, p=0.5),
            ),
        ),
    )


def training(hours: float, data: str, version: str = "2") -> Inspection:
    """One that began training so many hours ago."""
    when = NOW - timedelta(hours=hours)
    return Inspection("i", "authenticity", version, "looks", 800, 1.3, retrain=True, data=data, time=when)


def situation(**changes) -> Situation:
    return replace(Situation(found(), UNKNOWN, 0.85, "d", NOW, Past(), NOW), **changes)


LOOKS = found("looks")
WRONG = measured(reviewed(60, 40))
EARLIER = NOW - timedelta(hours=31)
SETTINGS = Monitoring(rest_hours=24, reviews=50, oldest_days=30)


@pytest.mark.parametrize(
    ("seen", "begins", "why"),
    [
        (situation(), False, "nothing calls for it: no drift, no reviewed inputs"),
        (situation(found=found("mix")), False, "another mix of classes"),
        (situation(found=found("too-few")), False, "too few predictions"),
        (situation(found=LOOKS), True, "what version 3 is asked about looks different"),
        (situation(quality=WRONG), True, "its accuracy on 100 reviewed inputs is 0.600 (0.497 to 0.697)"),
        (situation(quality=measured(reviewed(81, 19))), False, "100 reviewed inputs, accuracy 0.810"),
        (situation(found=LOOKS, data=""), False, "there is nothing new to learn"),
        (situation(quality=WRONG, data=""), False, "below the gate's 0.85; but nobody confirmed"),
        (
            situation(found=LOOKS, past=Past(trainings=(training(2, "c"),))),
            False,
            "training began 2.0 hours ago, and rests for 24",
        ),
        (situation(found=LOOKS, past=Past(trainings=(training(30, "c"),))), True, "looks different"),
        (
            situation(found=LOOKS, past=Past(trainings=(training(30, "c"),)), newest=EARLIER),
            False,
            "nobody confirmed anything since training began",
        ),
        (
            situation(found=LOOKS, past=Past(trainings=(training(30, "d", "3"),))),
            True,
            "looks different",
        ),
        (
            situation(
                found=LOOKS, past=Past(trainings=(training(30, "d", "3"),), since=frozenset({"3", "4"}))
            ),
            False,
            "nobody confirmed anything since training began",
        ),
        (
            situation(
                found=LOOKS, past=Past(trainings=(training(30, "c"),)), newest=NOW - timedelta(hours=30.5)
            ),
            True,
            "looks different",
        ),
        (
            situation(found=LOOKS, past=Past(trainings=(training(30, "d", "3"), training(60, "d", "3")))),
            False,
            "nobody confirmed anything since training began",
        ),
        (
            situation(found=LOOKS, past=Past(trainings=(training(30, "d"),))),
            False,
            "nobody confirmed anything since training began",
        ),
        (situation(found=found(days=30)), True, "version 3 is 30 days old"),
        (situation(found=found(days=30), data=""), True, "version 3 is 30 days old"),
        (situation(found=found(days=29)), False, "nothing calls for it"),
        (
            situation(found=found(days=30), past=Past(trainings=(training(2, "d"),))),
            False,
            "30 days old; but training began 2.0",
        ),
        (situation(found=found("looks", days=31)), True, "31 days old; what version 3 is asked about"),
    ],
)
def test_training_begins(seen, begins, why):
    retrain, told = decide(seen, SETTINGS)
    assert retrain is begins
    assert why in told


def look(minutes: float, kind: str = "looks", version: str = "3") -> Past:
    when = NOW - timedelta(minutes=minutes)
    return Past(Inspection("i", "authenticity", version, kind, 800, 1.3, time=when))


def test_what_the_look_before_found_counts_while_its_window_is_fresh():
    settings = Monitoring(hours=1)
    begins, why = decide(situation(past=look(5)), settings)
    assert begins
    assert why == "the look before found that what version 3 is asked about looks different"
    assert not decide(situation(past=look(61)), settings)[0]
    assert not decide(situation(past=look(5, version="2")), settings)[0]
    assert not decide(situation(past=look(5, "mix")), settings)[0]


def test_a_neighbour_s_clock_that_is_ahead_does_not_end_its_rest():
    assert not decide(situation(found=LOOKS, past=Past(trainings=(training(-0.01, "c"),))), SETTINGS)[0]


def test_a_run_may_ask_for_it_or_only_look():
    assert decide(situation(data=""), SETTINGS, "always") == (True, "it was asked for")
    began, why = decide(situation(found=LOOKS), SETTINGS, "never")
    assert not began
    assert why.endswith("but this run only looks")


def test_age_counts_only_where_a_task_says_so():
    assert not decide(situation(found=found(days=4000)), Monitoring())[0]


@pytest.fixture
def task(tmp_path) -> Task:
    folder = tmp_path / "own" / "real"
    folder.mkdir(parents=True)
    (folder / "1.png").write_bytes(encode(picture(9)))
    return load_task("authenticity").model_copy(update={"source": FolderSource(path=str(folder.parent))})


@pytest.fixture
def files(tmp_path):
    """What the steps before wrote: looks that drifted, and no quality."""
    (tmp_path / "drift").mkdir()
    (tmp_path / "drift" / DRIFT).write_text(found("looks").model_dump_json())
    (tmp_path / "quality.json").write_text(UNKNOWN.model_dump_json())
    return tmp_path / "drift", tmp_path / "quality.json"


def confirm(tmp_path, number: int) -> None:
    place = Images(str(tmp_path / "images"))
    name = f"{number:064x}"
    place.save(name, encode(picture(number)))
    with opened(own_store()) as store:
        store.add(
            [
                Prediction(
                    id=f"p-{number}",
                    time=datetime.now(UTC),
                    task="authenticity",
                    version="3",
                    label="real",
                    uncertain=False,
                    probabilities={"real": 0.9, "ai-generated": 0.1},
                    sha256=name,
                    image=place.address(name),
                )
            ]
        )
        reviews = Reviews(store.database)
        reviews.decide(reviews.file(f"p-{number}", "ai-generated", "anna")[0].id, "confirmed", "berta")


def test_it_trains_on_the_task_s_data_and_what_was_confirmed(tmp_path, task, files):
    confirm(tmp_path, 1)
    made = decided("run-1", "1", *files, task, "due")
    assert made.retrain
    own, feedback = made.sources
    assert own["kind"] == "folder" and own["digest"]
    assert feedback["kind"] == "feedback" and feedback["digest"] and feedback["until"]
    with opened(own_store()) as store:
        [kept] = Inspections(store.database).newest("authenticity", 10)
    assert (kept.version, kept.kind, kept.compared, kept.retrain) == ("3", "looks", 800, True)
    assert kept.scores == {"mmd": pytest.approx(3)}
    assert kept.quality == {"reviewed": 0, "accuracy_floor": 0.85}
    assert kept.data == feedback["digest"]


def test_a_step_that_is_repeated_comes_to_the_same(tmp_path, task, files):
    confirm(tmp_path, 1)
    first = decided("run-1", "1", *files, task, "due")
    confirm(tmp_path, 2)
    assert decided("run-1", "1", *files, task, "due") == first
    with opened(own_store()) as store:
        assert len(Inspections(store.database).newest("authenticity", 10)) == 1


def test_a_run_that_nobody_named_is_known_by_its_engine(tmp_path, task, files):
    confirm(tmp_path, 1)
    first = decided("", "job-1", *files, task, "due")
    assert decided("", "job-1", *files, task, "due") == first
    assert not decided("", "job-2", *files, task, "due").retrain


def test_a_run_that_was_killed_and_begins_again_trains_whatever_came_meanwhile(tmp_path, task, files):
    confirm(tmp_path, 1)
    first = decided("run-1", "job-1", *files, task, "due")
    (files[0] / DRIFT).write_text(found("none").model_dump_json())
    assert decided("run-1", "job-2", *files, task, "due") == first


def test_of_runs_at_once_one_trains(tmp_path, task, files):
    confirm(tmp_path, 1)
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda number: decided(f"run-{number}", "1", *files, task, "due"), range(4)))
    assert sum(each.retrain for each in made) == 1


def test_a_source_that_is_not_there_leaves_nothing_decided(tmp_path, task, files):
    confirm(tmp_path, 1)
    shutil.move(tmp_path / "own", tmp_path / "away")
    with pytest.raises(DataError):
        decided("run-1", "1", *files, task, "due")
    shutil.move(tmp_path / "away", tmp_path / "own")
    assert decided("run-2", "1", *files, task, "due").retrain


def test_a_look_needs_no_source(tmp_path, task, files):
    confirm(tmp_path, 1)
    shutil.move(tmp_path / "own", tmp_path / "away")
    (tmp_path / "drift" / DRIFT).write_text(found().model_dump_json())
    assert not decided("run-1", "1", *files, task, "due").retrain
    (tmp_path / "drift" / DRIFT).write_text(found("looks").model_dump_json())
    assert not decided("run-2", "1", *files, task, "never").retrain
    with opened(own_store()) as store:
        assert len(Inspections(store.database).newest("authenticity", 3)) == 2


def test_feedback_that_is_the_same_is_the_same_source(tmp_path, task, files):
    confirm(tmp_path, 1)
    first = decided("run-1", "1", *files, task, "always")
    assert decided("run-2", "1", *files, task, "always").sources == first.sources


def test_a_task_s_own_end_of_feedback_is_kept(tmp_path, task, files):
    confirm(tmp_path, 1)
    own = FeedbackSource(task="authenticity", until="2020-01-01T00:00:00+00:00")
    task = task.model_copy(update={"source": (*task.sources, own)})
    assert len(decided("run-1", "1", *files, task, "always").sources) == 1


def test_a_word_of_a_second_reviewer_is_nothing_new(tmp_path, task, files):
    confirm(tmp_path, 1)
    confirm(tmp_path, 2)
    first = decided("run-1", "1", *files, task, "due")
    with opened(own_store()) as store:
        reviews = Reviews(store.database)
        reviews.decide(reviews.file("p-1", "ai-generated", "carl")[0].id, "confirmed", "berta")
    again = decided("run-2", "1", *files, task, "always")
    assert again.sources[1]["digest"] == first.sources[1]["digest"]


def test_no_other_wish_is_taken_for_one(task, files):
    with pytest.raises(ConfigError, match="retrain is 'no'; give one of due, always, never"):
        decided("run-1", "1", *files, task, "no")


def test_few_reviews_alarm_nobody(tmp_path, task, files):
    files[1].write_text(measured(reviewed(1, 6)).model_dump_json())
    decided("run-1", "1", *files, task, "due")
    with opened(own_store()) as store:
        [kept] = Inspections(store.database).newest("authenticity", 1)
    assert set(kept.quality) == {"reviewed", "accuracy", "accuracy_floor"}


def test_the_next_run_rests(tmp_path, task, files):
    confirm(tmp_path, 1)
    decided("run-1", "1", *files, task, "due")
    confirm(tmp_path, 2)
    after = decided("run-2", "1", *files, task, "due")
    assert not after.retrain
    assert after.sources == ()
    assert "rests for 24" in after.why


def test_without_feedback_nothing_begins_unless_it_was_asked_for(task, files):
    assert not decided("run-1", "1", *files, task, "due").retrain
    asked = decided("run-2", "1", *files, task, "always")
    assert asked.retrain
    assert [each["kind"] for each in asked.sources] == ["folder"]


def test_feedback_that_a_task_reads_already_is_read_once(tmp_path, task, files):
    confirm(tmp_path, 1)
    own = FeedbackSource(task="authenticity", labels={"ai-generated": "real"})
    both = task.model_copy(update={"source": (own, *task.sources)})
    made = decided("run-1", "1", *files, both, "due")
    assert [each["kind"] for each in made.sources] == ["folder", "feedback"]
    assert made.sources[1]["labels"] == {"ai-generated": "real"}


def test_it_survives_being_written(tmp_path, task, files):
    made = decided("run-1", "1", *files, task, "always")
    (tmp_path / "decision.json").write_text(made.model_dump_json())
    assert read_decision(tmp_path / "decision.json") == made

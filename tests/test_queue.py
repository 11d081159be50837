import contextlib
import json
import os
import sqlite3
from multiprocessing import get_context

import pytest

from bonafide import queue
from bonafide.errors import BonafideError
from bonafide.queue import FullError, Queue, Run, StepState


@pytest.fixture
def runs():
    return Queue()


def asked(task: str = "one", **changes) -> Run:
    return Run(pipeline="training", task=task, **changes)


def test_runs_wait_in_the_order_in_which_they_were_asked_for(runs):
    ids = [runs.add(asked(settings={"seed": seed})).id for seed in range(3)]
    assert [run.id for run in runs.newest("training", 2)] == [ids[2], ids[1]]
    for identity in ids:
        begun = runs.begin("one")
        assert (begun.id, begun.state, begun.attempts) == (identity, "running", 1)
        runs.note(identity, state="succeeded", promoted=True)
        assert runs.find(identity).ended >= begun.begun
    assert runs.begin("one") is None
    assert runs.tasks() == set()


def test_what_is_the_same_waits_once(runs):
    first = runs.add(asked(settings={"seed": 1}))
    assert runs.add(asked(settings={"seed": 1}, subject="another")) == first
    others = [asked(settings={"seed": 2}), asked("two", settings={"seed": 1}), asked(engine="kubeflow")]
    assert len({runs.add(run).id for run in others} | {first.id}) == 4
    runs.begin("one")
    again = runs.add(asked(settings={"seed": 1}))
    assert again.id != first.id  # what has begun may not see what came since


def test_tasks_do_not_wait_for_each_other(runs):
    runs.add(asked("one"))
    other = runs.add(asked("two"))
    assert runs.begin("one")
    assert runs.begin("two").id == other.id
    assert runs.tasks() == {"one", "two"}


def test_runs_are_counted_and_the_last_that_was_not_cancelled_is_told(runs):
    first, second, third = (runs.add(asked(settings={"seed": seed})).id for seed in range(3))
    runs.add(asked("two"))
    for identity, state in ((first, "succeeded"), (second, "failed")):
        runs.begin("one")
        runs.note(identity, state=state)
    runs.cancel(third)
    counted = {("one", state): 1 for state in ("succeeded", "failed", "cancelled")}
    assert runs.counts() == counted | {("two", "queued"): 1}
    assert runs.last() == {"one": "failed"}


def test_what_a_killed_worker_left_comes_first(runs):
    first = runs.add(asked(settings={"seed": 1}))
    runs.add(asked(settings={"seed": 2}))
    before = runs.begin("one")
    again = runs.begin("one")
    assert (again.id, again.attempts, again.begun) == (first.id, 2, before.begun)


def test_what_is_begun_again_has_no_steps_yet(runs):
    run = runs.add(asked())
    runs.begin("one")
    runs.note(run.id, steps=(StepState(name="register", state="running"),))
    assert runs.begin("one").steps == ()


def test_a_run_that_waits_is_cancelled_at_once_and_one_that_ended_stays(runs):
    run = runs.add(asked())
    runs.cancel(run.id)
    cancelled = runs.find(run.id)
    assert cancelled.state == "cancelled" and cancelled.ended
    runs.cancel(run.id)
    assert runs.find(run.id) == cancelled
    assert runs.begin("one") is None


def test_there_is_an_end_to_waiting(runs, monkeypatch):
    monkeypatch.setattr(queue, "MOST_WAITING", 3)
    monkeypatch.setattr(queue, "MOST_WAITING_EACH", 2)
    for seed in range(2):
        runs.add(asked(settings={"seed": seed}, subject="anna"))
    with pytest.raises(FullError, match="2 runs wait already, 2 of them yours; wait"):
        runs.add(asked(settings={"seed": 9}, subject="anna"))
    runs.add(asked(settings={"seed": 9}, subject="berta"))
    with pytest.raises(FullError, match="3 runs wait already, 1 of them yours"):
        runs.add(asked(settings={"seed": 10}, subject="berta"))
    runs.begin("one")
    runs.add(asked(settings={"seed": 10}, subject="berta"))


def test_old_runs_are_forgotten_once_they_have_ended(runs, monkeypatch):
    monkeypatch.setattr(queue, "KEPT", 3)
    waits = runs.add(asked("waits"))
    for seed in range(6):
        run = runs.add(asked(settings={"seed": seed}))
        runs.begin("one")
        runs.note(run.id, state="succeeded")
    kept = [run.settings.get("seed") for run in runs.newest("training", 99)]
    assert kept == [5, 4, 3, 2, None]
    assert runs.find(waits.id) == waits


def add_some(home: str, seeds: range) -> None:
    os.environ["BONAFIDE_HOME"] = home
    for seed in seeds:
        Queue().add(asked(settings={"seed": seed}, subject=str(seed)))


def test_many_processes_lose_and_double_nothing(own_home, runs):
    """Two processes ask for the same forty runs."""
    context = get_context("spawn")
    writers = [context.Process(target=add_some, args=(str(own_home), range(40))) for _ in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert sorted(run.settings["seed"] for run in runs.newest("training", 100)) == list(range(40))


def test_a_run_that_works_is_marked_for_its_worker(runs):
    run = runs.add(asked())
    runs.begin("one")
    assert not runs.is_cancelling(run.id)
    runs.cancel(run.id)
    assert runs.is_cancelling(run.id)
    assert runs.find(run.id).state == "running"


@pytest.fixture
def started(monkeypatch):
    """The environments of the workers that were started."""
    environments = []

    def start(command, env, **_):
        environments.append(env | {"task": command[-1]})
        return Ended()

    monkeypatch.setattr(queue.subprocess, "Popen", start)
    return environments


class Ended:
    def wait(self) -> None:
        pass


def test_a_worker_is_started_where_there_is_none(runs, started):
    runs.add(asked("one"))
    runs.add(asked("two"))
    with runs.alone("two") as alone:
        assert alone
        with runs.alone("two") as again:
            assert not again
        runs.wake_all()
    assert [worker["task"] for worker in started] == ["one"]


def test_a_worker_is_not_told_the_secrets_of_the_service(runs, started, monkeypatch):
    monkeypatch.setenv("BONAFIDE_API_SECRET", "s" * 40)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    runs.wake("one")
    assert "BONAFIDE_API_SECRET" not in started[0]
    assert started[0]["AWS_ACCESS_KEY_ID"] == "key"


def test_a_log_does_not_grow_without_end(runs, started, own_home, monkeypatch):
    monkeypatch.setattr(queue, "LOG_BYTES", 100)
    log = own_home / "queue" / "one.log"
    runs.wake("one")
    log.write_text("x" * 99)
    runs.wake("one")
    assert log.stat().st_size == 99
    log.write_text("x" * 101)
    runs.wake("one")
    assert log.stat().st_size == 0


def test_a_worker_that_cannot_be_started_is_told(runs, monkeypatch):
    def refuse(*_, **__):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(queue.subprocess, "Popen", refuse)
    with pytest.raises(BonafideError, match="cannot start the worker of one: Resource temporarily"):
        runs.wake("one")


def test_what_a_newer_version_noted_is_passed_over(runs, own_home):
    run = runs.add(asked())
    with contextlib.closing(sqlite3.connect(own_home / "queue" / "runs.db")) as table, table:
        content = json.loads(run.model_dump_json()) | {"of_the_future": 1}
        table.execute("UPDATE runs SET content = ?", (json.dumps(content),))
    assert runs.begin("one").id == run.id


def test_a_table_that_is_broken_is_told(runs, own_home):
    (own_home / "queue").mkdir(parents=True)
    (own_home / "queue" / "runs.db").write_bytes(b"x" * 4096)
    with pytest.raises(BonafideError, match=r"cannot use .*runs.db: file is not a database; make room"):
        runs.tasks()

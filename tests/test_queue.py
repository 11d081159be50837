import os
import subprocess
import sys
import time
from multiprocessing import get_context

import pytest

from bonafide import queue
from bonafide.errors import BonafideError
from bonafide.queue import FullError, Queue, Run


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
    others = [asked(settings={"seed": 2}), asked("two", settings={"seed": 1}), asked(environment="prod")]
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


def test_what_a_killed_worker_left_comes_first(runs):
    first = runs.add(asked(settings={"seed": 1}))
    runs.add(asked(settings={"seed": 2}))
    before = runs.begin("one")
    again = runs.begin("one")
    assert (again.id, again.attempts, again.begun) == (first.id, 2, before.begun)


def test_a_run_that_waits_is_cancelled_at_once_and_one_that_ended_stays(runs):
    run = runs.add(asked())
    runs.cancel(run.id)
    cancelled = runs.find(run.id)
    assert cancelled.state == "cancelled" and cancelled.ended
    runs.cancel(run.id)
    assert runs.find(run.id) == cancelled
    assert runs.begin("one") is None


def test_there_is_an_end_to_waiting(runs, monkeypatch):
    monkeypatch.setattr(queue, "MOST_WAITING", 2)
    for seed in range(2):
        runs.add(asked(settings={"seed": seed}))
    with pytest.raises(FullError, match="2 runs wait already"):
        runs.add(asked(settings={"seed": 9}))
    runs.begin("one")
    runs.add(asked(settings={"seed": 9}))


def add_some(home: str, seeds: range) -> None:
    os.environ["BONAFIDE_HOME"] = home
    for seed in seeds:
        Queue().add(asked(settings={"seed": seed}))


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


SLEEPS = """
import os, subprocess, sys
from bonafide.queue import Queue
runs = Queue()
with runs.alone("one") as alone:
    assert alone and runs.begin("one")
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    print(child.pid, flush=True)
    child.wait()
"""


def test_cancelling_kills_the_worker_and_what_it_started(runs, monkeypatch):
    woken = []
    monkeypatch.setattr(Queue, "wake", lambda _, task: woken.append(task))
    run = runs.add(asked())
    worker = subprocess.Popen(
        [sys.executable, "-c", SLEEPS], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    step = int(worker.stdout.readline())
    with runs.alone("one") as alone:
        assert not alone
    runs.cancel(run.id)
    assert worker.wait(10) == -9
    while is_running(step):
        time.sleep(0.01)
    assert runs.find(run.id).cancelling
    assert woken == ["one"]  # to say that it is cancelled, and to go on
    assert runs.begin("one").cancelling


def is_running(process: int) -> bool:
    try:
        with open(f"/proc/{process}/stat") as stream:
            return stream.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_worker_is_not_told_the_secrets_of_the_service(runs, monkeypatch):
    given = {}
    monkeypatch.setenv("BONAFIDE_API_SECRET", "s" * 40)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setattr(queue.subprocess, "Popen", lambda _, env, **options: given.update(env) or Ended())
    runs.wake("one")
    assert "BONAFIDE_API_SECRET" not in given
    assert given["AWS_ACCESS_KEY_ID"] == "key"


class Ended:
    def wait(self) -> None:
        pass


def test_a_table_that_is_broken_is_told(runs, own_home):
    (own_home / "queue").mkdir(parents=True)
    (own_home / "queue" / "runs.db").write_bytes(b"x" * 4096)
    with pytest.raises(BonafideError, match=r"cannot use .*runs.db: file is not a database; make room"):
        runs.tasks()

"""Runs that were asked for, performed here and on the stand-in of Kubeflow Pipelines."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from bonafide.errors import BonafideError, DeliveryError
from bonafide.files import sha256
from bonafide.queue import Queue, Run
from pipelines import worker
from pipelines.runners import engine as following
from pipelines.runners.kubeflow import KubeflowEngine
from pipelines.runners.steps import Step
from tests.patience import until
from tests.pipelines.test_engines import ENGINES


@pytest.fixture
def runs():
    return Queue()


def ask(runs: Queue, task: str = "authenticity", **changes) -> Run:
    return runs.add(Run(**{"pipeline": "training", "task": task, **changes}))


class Here:
    """Takes the place of the local runner: each run goes through the steps that it is given."""

    def __init__(self, monkeypatch, error: str | Exception = ""):
        self.error, self.arguments, self.pipelines = error, [], []
        self.steps, self.folder = {"gate": Step("gate")}, Path()
        monkeypatch.setattr("pipelines.runners.local.run", self.run)
        monkeypatch.setattr("bonafide.registry.tracking.start", lambda: None)
        monkeypatch.setattr("pipelines.summary.summarise", lambda _: {"gate": self.gate})
        self.gate = {"promote": True, "checks": [{"passed": True, "why": "accuracy 0.9 reaches 0.8"}]}

    def run(self, pipeline, arguments, tell):
        self.arguments.append(arguments)
        self.pipelines.append(pipeline.name)
        for step in (
            Step("ingest", 1.26, "key", "SUCCESS"),
            Step("train"),
            Step("train", detail="epoch 1/3"),
            Step("train", 4.0, "", "SUCCESS"),
        ):
            tell(step)
        if isinstance(self.error, Exception):
            raise self.error
        return SimpleNamespace(
            failure=self.error,
            step=self.steps.get,
            artifact=lambda *_: self.folder / "decision",
        )


def test_runs_are_performed_one_after_the_other(runs, monkeypatch):
    here = Here(monkeypatch)
    first, second = ask(runs, settings={"model.epochs": 3}), ask(runs, settings={"seed": 7})
    other = ask(runs, "another")
    worker.work("authenticity")
    ended = runs.find(first.id)
    assert (ended.state, ended.promoted, ended.message) == ("succeeded", True, "")
    assert [(step.name, step.state, step.seconds, step.cached) for step in ended.steps] == [
        ("ingest", "succeeded", 1.3, True),
        ("train", "succeeded", 4.0, False),
    ]
    assert runs.find(second.id).state == "succeeded"
    assert runs.find(other.id).state == "queued"
    assert [given["model_settings"]["epochs"] for given in here.arguments] == [3, 12]
    assert [given["seed"] for given in here.arguments] == [42, 7]


def test_a_run_of_monitoring_that_trains_nothing_says_why(runs, monkeypatch, tmp_path):
    here = Here(monkeypatch)
    here.steps, here.folder = {}, tmp_path
    (tmp_path / "decision").write_text('{"retrain": false, "why": "nothing calls for it"}')
    begin = tmp_path / "begin.pth"
    begin.write_bytes(b"weights")
    run = ask(runs, pipeline="monitoring", settings={"monitoring.hours": 2, "model.weights": str(begin)})
    worker.work("authenticity")
    ended = runs.find(run.id)
    assert (ended.state, ended.promoted, ended.message) == ("succeeded", False, "nothing calls for it")
    [given] = here.arguments
    assert here.pipelines == ["monitoring"]
    assert (given["retrain"], given["monitoring_settings"]["hours"]) == ("due", 2)
    assert "sources" not in given
    assert given["model_settings"]["weights_digest"] == sha256(begin)


def test_a_run_of_monitoring_that_trains_says_what_the_gate_said(runs, monkeypatch):
    here = Here(monkeypatch)
    run = ask(runs, pipeline="monitoring")
    worker.work("authenticity")
    assert runs.find(run.id).promoted
    here.gate = {"promote": False, "checks": [{"passed": False, "why": "accuracy 0.6 misses 0.8"}]}
    again = ask(runs, pipeline="monitoring")
    worker.work("authenticity")
    assert runs.find(again.id).message == "accuracy 0.6 misses 0.8"


def test_a_gate_that_refuses_is_a_run_that_succeeded(runs, monkeypatch):
    here = Here(monkeypatch)
    here.gate = {"promote": False, "checks": [{"passed": False, "why": "accuracy 0.6 misses 0.8"}]}
    run = ask(runs)
    worker.work("authenticity")
    ended = runs.find(run.id)
    assert (ended.state, ended.promoted, ended.message) == ("succeeded", False, "accuracy 0.6 misses 0.8")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ("ingest failed: no such folder", "ingest failed: no such folder"),
        (BonafideError("no registry"), "no registry"),
        (ZeroDivisionError("by zero"), "unexpected: ZeroDivisionError('by zero'); the worker's log has more"),
    ],
)
def test_a_run_that_fails_does_not_hold_up_the_next(runs, monkeypatch, capsys, error, told):
    here = Here(monkeypatch, error)
    first, second = ask(runs), ask(runs, settings={"seed": 1})
    worker.work("authenticity")
    assert len(here.arguments) == 2
    assert {(run.state, run.message) for run in runs.newest("training", 9)} == {("failed", told)}
    assert runs.find(first.id).ended <= runs.find(second.id).begun
    assert ("Traceback" in capsys.readouterr().err) == isinstance(error, ZeroDivisionError)


def test_a_run_that_ends_its_worker_is_begun_three_times(runs, monkeypatch):
    here = Here(monkeypatch)
    run = ask(runs)
    for _ in range(3):
        runs.begin("authenticity")
    worker.work("authenticity")
    assert here.arguments == []
    ended = runs.find(run.id)
    assert ended.state == "failed"
    assert ended.message == "begun 3 times, and each time something ended its worker"


IN_A_STEP = """
import os, subprocess, sys, time
from pipelines import worker
from pipelines.runners import local
from pipelines.runners.steps import Step

def fail(error):
    raise error

def run(pipeline, arguments, tell):
    tell(Step(sys.argv[1]))
    step = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    print(step.pid, flush=True)
    step.wait(float(sys.argv[2]))

local.run = run
find, failing = worker.Queue.find, [worker.BonafideError("database is locked")] * 3
worker.Queue.find = lambda *given: find(*given) if not failing else fail(failing.pop())
os.setpgid(0, 0)
worker.LOOK_SECONDS = 0.01
worker.work("authenticity")
"""


def is_running(process: int) -> bool:
    try:
        with open(f"/proc/{process}/stat") as stream:
            return stream.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.e2e
def test_cancelling_ends_the_worker_and_what_it_started(runs):
    run = ask(runs)
    process = subprocess.Popen([sys.executable, "-c", IN_A_STEP, "train", "60"], stdout=-1, text=True)
    step = int(process.stdout.readline())
    runs.cancel(run.id)
    assert process.wait(60) == -signal.SIGKILL
    until(lambda: not is_running(step))
    assert runs.find(run.id).state == "cancelled"


@pytest.mark.e2e
def test_what_is_being_promoted_is_not_cut_off(runs):
    run = ask(runs)
    process = subprocess.Popen([sys.executable, "-c", IN_A_STEP, "promote", "1"], stdout=-1, text=True)
    step = int(process.stdout.readline())
    runs.cancel(run.id)
    assert process.wait(60) == 0
    os.kill(step, signal.SIGKILL)
    assert runs.find(run.id).state == "failed"  # which is how the step of this test ends


def test_a_run_whose_worker_was_killed_while_it_was_cancelled_is_cancelled(runs, monkeypatch):
    here = Here(monkeypatch)
    run = ask(runs)
    runs.begin("authenticity")
    runs.note(run.id, cancelling=True)
    worker.work("authenticity")
    assert here.arguments == []
    assert runs.find(run.id).state == "cancelled"


def test_a_second_worker_leaves_the_first_alone(runs, monkeypatch):
    here = Here(monkeypatch)
    ask(runs)
    with runs.alone("authenticity"):
        worker.work("authenticity")
    assert here.arguments == []
    worker.work("authenticity")
    assert len(here.arguments) == 1


@pytest.fixture
def engine(kubeflow, tmp_path):
    """The settings' file of a stand-in of Kubeflow Pipelines, and the stand-in."""
    settings = yaml.safe_load((ENGINES / "kubeflow.example.yaml").read_text())
    path = tmp_path / "kubeflow.yaml"
    path.write_text(yaml.safe_dump(settings | {"host": kubeflow.url}))
    return str(path), kubeflow


def test_a_run_on_an_engine_is_followed_to_its_end(runs, engine, monkeypatch):
    path, server = engine
    run = ask(runs, engine=path)

    follow = following.follow

    def story(connected, remote, *rest):
        noted = runs.find(run.id)
        assert (noted.state, noted.remote) == ("running", remote)
        server.step(remote, "champion", "SUCCEEDED")
        server.step(remote, "promote", "SUCCEEDED")
        server.runs[remote]["state"] = "SUCCEEDED"
        return follow(connected, remote, *rest)

    monkeypatch.setattr(following, "follow", story)
    worker.work("authenticity")
    ended = runs.find(run.id)
    assert (ended.state, ended.promoted) == ("succeeded", True)
    assert [step.name for step in ended.steps] == ["champion", "promote"]
    assert ended.link.endswith(ended.remote)


class Killed(BaseException):
    """Takes the place of a kill."""


@pytest.mark.parametrize("noted", [True, False])
def test_a_run_that_goes_on_at_an_engine_is_not_submitted_again(runs, engine, monkeypatch, noted):
    """Whether the worker was killed after it had noted the run's id, or before; and however often."""
    path, server = engine
    run = ask(runs, engine=path)

    def killed(*_, **__):
        raise Killed

    for _ in range(4):
        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(*((following, "follow") if noted else (Queue, "note")), killed)
            worker.work("authenticity")
    (remote,) = server.runs
    assert bool(runs.find(run.id).remote) == noted
    server.runs[remote]["state"] = "SUCCEEDED"
    worker.work("authenticity")
    assert list(server.runs) == [remote]
    assert runs.find(run.id).state == "succeeded"


def test_cancelling_reaches_the_engine_and_its_end_is_waited_for(runs, engine, monkeypatch):
    path, server = engine
    run, behind = ask(runs, engine=path), ask(runs, engine=path, settings={"model.epochs": 3})
    looks = []
    look = KubeflowEngine.look

    def looked(self, remote):
        looks.append(remote)
        if len(looks) == 1:
            runs.cancel(run.id)
        found = look(self, remote)
        if found.state == "CANCELLED" and looks.count(remote) < 4:
            return replace(found, state="RUNNING")  # steps that work need a while to stop
        if remote != looks[0]:
            server.runs[remote]["state"] = "SUCCEEDED"
        return found

    monkeypatch.setattr(KubeflowEngine, "look", looked)
    worker.work("authenticity")
    assert looks.count(looks[0]) == 4
    assert (runs.find(run.id).state, runs.find(behind.id).state) == ("cancelled", "succeeded")
    assert server.runs[looks[0]]["state"] in ("CANCELED", "CANCELING")


def test_a_submit_whose_answer_is_lost_is_looked_for(runs, engine, monkeypatch):
    path, server = engine
    run = ask(runs, engine=path)
    submit, asked = KubeflowEngine.submit, KubeflowEngine.runs
    away = iter([DeliveryError("away")] * 3)

    def lost(self, *given, **named):
        made = submit(self, *given, **named)
        server.runs[made.id]["state"] = "SUCCEEDED"
        raise DeliveryError("timed out")

    def late(self, limit):
        for error in away:
            raise error
        return asked(self, limit)

    monkeypatch.setattr(KubeflowEngine, "submit", lost)
    monkeypatch.setattr(KubeflowEngine, "runs", late)
    worker.work("authenticity")
    ended = runs.find(run.id)
    assert (ended.state, [ended.remote]) == ("succeeded", list(server.runs))


def test_a_submit_that_is_refused_is_told_at_once(runs, engine, monkeypatch):
    path, server = engine
    run = ask(runs, engine=path)

    def refused(self, *given, **named):
        raise DeliveryError("400 no such service account")

    monkeypatch.setattr(KubeflowEngine, "submit", refused)
    worker.work("authenticity")
    assert runs.find(run.id).message == "400 no such service account"
    assert not server.runs


def test_a_table_that_is_locked_for_a_while_does_not_end_a_run(runs, engine, monkeypatch):
    path, server = engine
    run = ask(runs, engine=path)
    failing = iter([BonafideError("database is locked")] * 3)
    noted = Queue.is_cancelling

    def locked(queue, identity):
        for error in failing:
            raise error
        server.runs[runs.find(identity).remote]["state"] = "SUCCEEDED"
        return noted(queue, identity)

    monkeypatch.setattr(Queue, "is_cancelling", locked)
    worker.work("authenticity")
    assert runs.find(run.id).state == "succeeded"


def test_steps_that_cannot_be_noted_do_not_end_a_run(runs, monkeypatch):
    Here(monkeypatch)
    run = ask(runs)
    failing = iter([BonafideError("database is locked")])
    note = Queue.note

    def locked(queue, identity, **changes):
        if "steps" in changes:
            for error in failing:
                raise error
        note(queue, identity, **changes)

    monkeypatch.setattr(Queue, "note", locked)
    worker.work("authenticity")
    ended = runs.find(run.id)
    assert ended.state == "succeeded"
    assert [step.name for step in ended.steps] == ["ingest", "train"]


def test_a_run_is_not_given_up_while_its_engine_is_away(runs, engine, monkeypatch):
    path, server = engine
    run = ask(runs, engine=path)
    begun = runs.begin("authenticity")  # by a worker that was killed
    made = following.connect(path).submit("training", {"name": "authenticity"})
    server.runs[made.id]["state"] = "SUCCEEDED"
    runs.note(begun.id, remote=made.id)
    away = iter([DeliveryError("away")] * 5)
    connect = following.connect

    def connected(engine):
        for error in away:
            raise error
        return connect(engine)

    monkeypatch.setattr(following, "connect", connected)
    worker.work("authenticity")
    assert runs.find(run.id).state == "succeeded"


@pytest.fixture
def lost(runs, engine, monkeypatch):
    """A run that goes on at an engine which does not answer any more, and one that waits behind it."""
    path, server = engine
    run, behind = ask(runs, engine=path), ask(runs, engine=path, settings={"model.epochs": 3})
    look = KubeflowEngine.look

    def last_look(self, remote):
        server.failing = 10**6
        return look(self, remote)

    with monkeypatch.context() as patch:
        patch.setattr(worker, "PATIENCE", 3)
        patch.setattr(KubeflowEngine, "look", last_look)
        with pytest.raises(BonafideError, match="503 the database is away"):
            worker.work("authenticity")
    return run, behind, server


def test_a_run_whose_engine_does_not_answer_stays_the_only_one(runs, lost):
    run, behind, server = lost
    (remote,) = server.runs
    assert [runs.find(each.id).state for each in (run, behind)] == ["running", "queued"]
    server.failing = 0
    server.runs[remote]["state"] = "SUCCEEDED"
    runs.cancel(behind.id)
    worker.work("authenticity")
    assert runs.find(run.id).state == "succeeded"
    assert list(server.runs) == [remote]


@pytest.mark.parametrize("noted", [True, False])
def test_nor_is_it_given_up_by_the_next_worker_unless_it_is_to_be_cancelled(runs, lost, monkeypatch, noted):
    run, behind, server = lost
    monkeypatch.setattr(worker, "PATIENCE", 3)
    if not noted:
        runs.note(run.id, remote="")
    with pytest.raises(BonafideError, match="503 the database is away"):
        worker.work("authenticity")
    assert (runs.find(run.id).state, len(server.runs)) == ("running", 1)
    runs.cancel(run.id)
    runs.cancel(behind.id)
    worker.work("authenticity")
    ended = runs.find(run.id)
    assert ended.state == "failed"
    assert "503 the database is away" in ended.message


def test_an_engine_that_is_away_fails_the_run_with_a_sentence(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(following, "POLL_SECONDS", 0.01)
    settings = yaml.safe_load((ENGINES / "kubeflow.example.yaml").read_text())
    away = tmp_path / "away.yaml"
    away.write_text(yaml.safe_dump(settings | {"host": "http://127.0.0.1:9"}))
    run = ask(runs, engine=str(away))
    worker.work("authenticity")
    assert "Kubeflow Pipelines at http://127.0.0.1:9 does not answer" in runs.find(run.id).message

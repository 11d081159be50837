"""Pipelines by request, without what performs them: nothing is begun here."""

import json

import pytest

from bonafide import queue
from bonafide.errors import BonafideError
from bonafide.queue import Queue, Run
from bonafide.serving.api import runs
from bonafide.serving.api.app import create_app
from bonafide.serving.api.settings import Settings
from bonafide.serving.api.tokens import development_token
from tests.packages import TOPIC
from tests.patience import until
from tests.serving.api.conftest import problem

TOKENS = {"secret": "s" * 32, "issuer": "me", "audience": "us"}
PATH = "/pipelines/training/runs"
ASKED = {"task": "authenticity", "settings": {"model.epochs": 3, "model.dropout": 0.1}}


@pytest.fixture
def woken(monkeypatch):
    """The tasks whose workers were started."""
    tasks = []
    monkeypatch.setattr(Queue, "wake", lambda _, task: tasks.append(task))
    return tasks


@pytest.fixture
def api(local, woken, monkeypatch):
    """A service whose look at what waits since earlier wakes nobody."""
    from starlette.testclient import TestClient

    monkeypatch.setattr(Queue, "wake_all", lambda _: None)
    with TestClient(create_app(local(), Settings(**TOKENS), TOPIC, engine="kubeflow")) as client:
        client.headers["authorization"] = f"Bearer {token('train')}"
        yield client


def token(*scopes: str) -> str:
    return development_token(Settings(**TOKENS), "anna", scopes, 1)


def test_a_run_is_queued_looked_at_and_cancelled(api, woken):
    started = api.post(PATH, json=ASKED)
    assert started.status_code == 202
    run = started.json()
    assert started.headers["location"] == f"{PATH}/{run['id']}"
    assert run | ASKED == run
    told = (run["pipeline"], run["state"], run["engine"], run["subject"])
    assert told == ("training", "queued", "kubeflow", "anna")
    assert api.get(started.headers["location"]).json() == run
    assert api.get(PATH).json() == {"runs": [run]}
    cancelled = api.post(f"{PATH}/{run['id']}/cancel")
    assert (cancelled.status_code, cancelled.json()["state"]) == (202, "cancelled")
    assert woken == ["authenticity"] * 2


def test_the_same_waits_once_and_another_behind_it(api):
    first, again = api.post(PATH, json=ASKED).json(), api.post(PATH, json=ASKED).json()
    assert again == first
    other = api.post(PATH, json=ASKED | {"settings": {}}).json()
    assert [run["id"] for run in api.get(PATH).json()["runs"]] == [other["id"], first["id"]]


def test_what_waits_since_an_earlier_life_is_woken(local, woken):
    from starlette.testclient import TestClient

    Queue().add(Run(pipeline="training", task="one"))
    done = Queue().add(Run(pipeline="training", task="two"))
    Queue().cancel(done.id)
    with TestClient(create_app(local(), Settings(**TOKENS), TOPIC, engine="")):
        until(lambda: woken)
    assert woken == ["one"]


def test_how_runs_stand_is_among_the_metrics(local, woken, monkeypatch):
    from starlette.testclient import TestClient

    waiting = Queue()
    done = waiting.add(Run(pipeline="training", task="gauged"))
    waiting.begin("gauged")
    waiting.note(done.id, state="failed")
    waiting.add(Run(pipeline="training", task="gauged"))
    monkeypatch.setattr(runs, "WATCH_SECONDS", 0.01)
    with TestClient(create_app(local(), Settings(**TOKENS), TOPIC, engine="")) as client:
        told(client, 'bonafide_run_failed{task="gauged"} 1.0')
        told(client, 'bonafide_runs{state="queued",task="gauged"} 1.0')
        begun = waiting.begin("gauged")
        told(client, 'bonafide_runs{state="running",task="gauged"} 1.0')
        waiting.note(begun.id, state="succeeded")
        told(client, 'bonafide_run_failed{task="gauged"} 0.0')
        told(client, 'bonafide_runs{state="running",task="gauged"} 0.0')


def test_one_failure_does_not_end_the_watch(local, woken, monkeypatch):
    from starlette.testclient import TestClient

    Queue().add(Run(pipeline="training", task="one"))
    failing = iter([OSError("no memory"), BonafideError("disk full")])
    tasks = Queue.tasks

    def fails_twice(queue):
        for error in failing:
            raise error
        return tasks(queue)

    monkeypatch.setattr(runs, "WATCH_SECONDS", 0.01)
    monkeypatch.setattr(Queue, "tasks", fails_twice)
    with TestClient(create_app(local(), Settings(**TOKENS), TOPIC, engine="")):
        until(lambda: woken)


def test_that_there_is_no_such_run_is_promised_only_where_one_is_named(api):
    paths = api.get("/openapi.json").json()["paths"]
    found = {
        (method, path): "404" in told["responses"]
        for path, methods in paths.items()
        for method, told in methods.items()
        if path.startswith("/pipelines")
    }
    assert len(found) == 4
    assert all(promised == ("{run}" in path) for (_, path), promised in found.items())
    assert api.get(PATH.replace("training", "batch")).status_code == 400


def test_without_leave_there_are_no_such_paths(serve):
    problem(serve(**TOKENS).post(PATH, json=ASKED), 404)


@pytest.mark.parametrize("scopes", [(), ("predict", "batch", "explain")])
def test_the_scope_is_needed(api, scopes):
    api.headers["authorization"] = f"Bearer {token(*scopes)}"
    for method, path in (("POST", PATH), ("GET", PATH), ("GET", f"{PATH}/1"), ("POST", f"{PATH}/1/cancel")):
        problem(api.request(method, path), 403)
    del api.headers["authorization"]
    problem(api.post(PATH, content=b"{"), 401)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({}, "the request does not fit"),
        ({"task": "no-such-task"}, "no task 'no-such-task'"),
        ({"task": "../../etc/passwd"}, "the request does not fit"),
        ({"task": "tasks/authenticity.yaml"}, "the request does not fit"),
        (ASKED | {"environment": "prod"}, "the request does not fit"),
        (ASKED | {"surprise": 1}, "the request does not fit"),
        (ASKED | {"settings": {"gate.accuracy": 0}}, "the request does not fit"),
        (ASKED | {"settings": {"source.path": "/etc"}}, "the request does not fit"),
        (ASKED | {"settings": {"seed": 1}}, "the request does not fit"),
        (ASKED | {"settings": {"model.epochs=[1] #": 1}}, "the request does not fit"),
        (ASKED | {"settings": {f"model.a{index}": 1 for index in range(33)}}, "the request does not fit"),
        (
            ASKED | {"settings": {"model.epochs": 0}},
            "model.epochs: Input should be greater than or",
        ),
        (ASKED | {"settings": {"model.epoch": 1}}, "did you mean 'model.epochs'?"),
        (ASKED | {"settings": {"model.epochs": [1]}}, "the request does not fit"),
        (ASKED | {"settings": {"model.weights": "/srv/begin.pth"}}, "the request does not fit"),
        (ASKED | {"settings": {"model.dropout": float("nan")}}, "the request does not fit"),
        (ASKED | {"settings": {"model.epochs": 10**400}}, "model.epochs: Input should be less than"),
    ],
)
def test_what_does_not_fit_is_not_queued(api, woken, asked, told):
    response = api.post(PATH, content=json.dumps(asked), headers={"content-type": "application/json"})
    assert told in problem(response, 400)["detail"]
    assert woken == []
    assert api.get(PATH).json() == {"runs": []}


def test_a_refusal_is_short(api):
    """However much there was to refuse."""
    wrong = json.dumps(ASKED | {str(index): [] for index in range(5000)})
    response = api.post(PATH, content=wrong, headers={"content-type": "application/json"})
    assert len(problem(response, 400)["errors"]) == 20


def test_a_queue_that_cannot_be_used_is_told(api, own_home):
    api.get(PATH)
    (own_home / "queue" / "runs.db").write_bytes(b"x" * 4096)
    for response in (api.post(PATH, json=ASKED), api.get(PATH)):
        assert "file is not a database" in problem(response, 503)["detail"]
        assert response.headers["retry-after"] == "60"


def test_a_body_of_another_kind_or_size_is_refused(api):
    as_text = {"content-type": "text/plain"}  # which a page of any origin may send
    problem(api.post(PATH, content=json.dumps(ASKED), headers=as_text), 415)
    as_json = {"content-type": "application/json"}
    problem(api.post(PATH, content=b" " * 65_537, headers=as_json), 413)
    problem(api.post(PATH, content=b"[" * 60_000, headers=as_json), 400)


def test_there_is_an_end_to_waiting(api, monkeypatch):
    monkeypatch.setattr(queue, "MOST_WAITING_EACH", 1)
    api.post(PATH, json=ASKED)
    response = api.post(PATH, json=ASKED | {"settings": {}})
    assert "1 runs wait already" in problem(response, 503)["detail"]
    assert response.headers["retry-after"] == "60"


@pytest.mark.parametrize("path", ["/pipelines/batch/runs", "/pipelines/other/runs/1"])
def test_another_pipeline_is_not_for_callers(api, path):
    problem(api.get(path), 400)


def test_a_run_that_is_not_there_is_told(api):
    problem(api.get(f"{PATH}/none"), 404)
    problem(api.post(f"{PATH}/none/cancel"), 404)


def told(client, line):
    until(lambda: client.get("/metrics").text.splitlines(), lambda lines: line in lines)

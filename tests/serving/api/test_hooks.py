"""Alertmanager's web hook, without what performs the runs: nothing is begun here."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from bonafide import queue
from bonafide.errors import ConfigError
from bonafide.queue import Queue, Run
from bonafide.serving.api.app import create_app
from bonafide.serving.api.settings import Settings
from bonafide.serving.api.tokens import development_token
from tests.packages import TOPIC
from tests.serving.api.conftest import problem

TOKENS = {"secret": "s" * 32, "issuer": "me", "audience": "us"}
HOOK = "h" * 32
PATH, RUNS = "/hooks/alertmanager", "/pipelines/monitoring/runs"


@pytest.fixture
def woken(monkeypatch):
    """The tasks whose workers were started."""
    tasks = []
    monkeypatch.setattr(Queue, "wake", lambda _, task: tasks.append(task))
    return tasks


@pytest.fixture
def make(local, woken):
    from starlette.testclient import TestClient

    def client(**settings):
        app = create_app(local(), Settings(**TOKENS, hook_token=HOOK, **settings), TOPIC, engine="kubeflow")
        return TestClient(app, headers={"authorization": f"Bearer {HOOK}"})

    return client


@pytest.fixture
def api(make):
    return make()


def token(*scopes: str) -> dict[str, str]:
    made = development_token(Settings(**TOKENS), "anna", scopes, 1)
    return {"authorization": f"Bearer {made}"}


def alert(name="LooksDrifted", status="firing", **labels) -> dict:
    """As Alertmanager 0.25 sends one."""
    own = {"alertname": name, "severity": "warning", "bonafide_action": "retrain", "task": "authenticity"}
    return {
        "status": status,
        "labels": {key: value for key, value in (own | labels).items() if value is not None},
        "annotations": {"summary": "…"},
        "startsAt": "2026-11-28T21:00:00.000Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus:9090/graph?g0.expr=up",
        "fingerprint": "c9b6ec3b6f1dcb5f",
    }


def notification(*alerts: dict, **changes) -> dict:
    return {
        "version": "4",
        "groupKey": '{}/{bonafide_action="retrain"}:{task="authenticity"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "training",
        "groupLabels": {"task": "authenticity"},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager:9093",
        "alerts": list(alerts),
    } | changes


def send(api, *alerts: dict) -> list[dict]:
    response = api.post(PATH, json=notification(*alerts))
    assert response.status_code == 200, response.text
    return response.json()["alerts"]


def runs() -> list[Run]:
    return Queue().newest("monitoring", 100)


def end(identity: str, **changes) -> None:
    """As a worker does."""
    Queue().begin("authenticity")
    Queue().note(identity, **({"state": "succeeded"} | changes))


def test_a_firing_alert_starts_a_run_that_says_which_alert_it_was(api, woken):
    [told] = send(api, alert())
    api.headers.update(token("train"))
    [run] = api.get(RUNS).json()["runs"]
    assert told == {
        "alert": "LooksDrifted",
        "outcome": "started",
        "task": "authenticity",
        "run": run["id"],
    }
    said = {key: run[key] for key in ("alert", "subject", "engine", "state", "task", "settings")}
    assert said == {
        "alert": "LooksDrifted",
        "subject": "alertmanager",
        "engine": "kubeflow",
        "state": "queued",
        "task": "authenticity",
        "settings": {},
    }
    assert woken == ["authenticity"]


def test_the_same_alert_a_hundred_times_starts_one_run(api, woken):
    outcomes = [told["outcome"] for _ in range(100) for told in send(api, alert())]
    assert outcomes == ["started"] + 99 * ["busy"]
    [run] = runs()
    end(run.id)
    assert [told["run"] for told in send(api, alert())] == [run.id]
    assert send(api, alert())[0]["outcome"] == "resting"
    assert (len(runs()), woken) == (1, ["authenticity"])


def test_many_at_once_by_several_services_start_one_run(make):
    """Two Alertmanagers, or two groups, or a lost answer that is sent again."""
    several = [make() for _ in range(4)]
    with ThreadPoolExecutor(8) as pool:
        sent = [
            pool.submit(send, several[number % 4], alert(name))
            for number in range(20)
            for name in ("LooksDrifted", "QualityFell")
        ]
    outcomes = [told["outcome"] for each in sent for told in each.result()]
    assert sorted(outcomes) == ["busy"] * 39 + ["started"]
    assert len(runs()) == 1


def test_two_alerts_of_one_notification_start_one_run_and_two_tasks_two(api, woken):
    told = send(api, alert(), alert("QualityFell"), alert(task="cifake"))
    assert [each["outcome"] for each in told] == ["started", "busy", "started"]
    assert told[0]["run"] == told[1]["run"] != told[2]["run"]
    assert woken == ["authenticity", "cifake"]


def test_a_run_that_a_person_started_is_waited_for(api):
    asked = api.post(RUNS, json={"task": "authenticity"}, headers=token("train")).json()
    assert send(api, alert())[0] | {"outcome": "busy", "run": asked["id"]} == send(api, alert())[0]
    end(asked["id"])
    assert send(api, alert())[0]["outcome"] == "started"


def test_an_alert_that_goes_on_starts_another_run_after_the_rest(api):
    [told] = send(api, alert())
    begun = datetime.now(UTC)
    end(told["run"], created=begun - timedelta(minutes=59))
    assert send(api, alert())[0]["outcome"] == "resting"
    Queue().note(told["run"], created=begun - timedelta(minutes=61))
    assert send(api, alert())[0]["outcome"] == "started"


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_a_run_that_came_to_nothing_is_followed_by_one_more(api, state):
    [told] = send(api, alert())
    end(told["run"], state=state)
    [again] = send(api, alert("QualityFell"))
    assert again["outcome"] == "started"
    end(again["run"], state=state)
    assert send(api, alert())[0]["outcome"] == "resting"


def test_the_rest_is_a_setting_and_each_tasks_own(make):
    api = make(rest_hours=0)
    first = send(api, alert())[0]
    end(first["run"])
    second = send(api, alert())[0]
    assert second["outcome"] == "started"
    assert second["run"] != first["run"]
    assert send(make(), alert(task="cifake"))[0]["outcome"] == "started"


def test_a_clock_that_is_set_back_does_not_stop_the_trainings(api):
    [told] = send(api, alert())
    end(told["run"], created=datetime.now(UTC) + timedelta(days=365))
    assert send(api, alert())[0]["outcome"] == "started"


def test_an_alert_without_a_name_rests_as_well(api):
    [told] = send(api, alert(None))
    end(told["run"])
    assert send(api, alert(None))[0] == told | {"outcome": "resting", "alert": "nameless"}


def test_what_is_known_outlives_the_service(make):
    first = send(make(), alert())
    again = send(make(), alert())
    assert (first[0]["run"], again[0]["outcome"]) == (again[0]["run"], "busy")


@pytest.mark.parametrize(
    "ignored",
    [
        alert(status="resolved"),
        alert("SlowAnswers", bonafide_action=None),
        alert("SlowAnswers", bonafide_action="", task=None),
    ],
)
def test_what_has_resolved_or_asks_for_nothing_starts_nothing(api, woken, ignored):
    assert send(api, ignored) == [{"alert": ignored["labels"]["alertname"], "outcome": "ignored"}]
    assert (runs(), woken) == ([], [])


@pytest.mark.parametrize(
    ("labels", "why"),
    [
        ({"task": "no-such-task"}, "no task 'no-such-task'"),
        ({"task": None}, "the label task is no task's name"),
        ({"task": "../../etc/passwd.yaml"}, "the label task is no task's name"),
        ({"task": "tasks/authenticity.yaml"}, "the label task is no task's name"),
        ({"bonafide_action": "promote"}, "bonafide_action is 'promote'; there is retrain"),
    ],
)
def test_one_alert_that_is_refused_does_not_hold_up_the_others(api, labels, why):
    told, started = send(api, alert(**labels), alert("QualityFell"))
    assert told["outcome"] == "refused"
    assert told["why"].startswith(why)
    assert started["outcome"] == "started"
    assert len(runs()) == 1


def test_a_full_queue_is_told_so_that_alertmanager_sends_it_again(api, monkeypatch):
    monkeypatch.setattr(queue, "MOST_WAITING", 1)
    other = Queue().add(Run(pipeline="monitoring", task="cifake"))
    response = api.post(PATH, json=notification(alert()))
    assert "1 runs wait already" in problem(response, 503)["detail"]
    assert response.headers["retry-after"] == "60"
    Queue().cancel(other.id)
    assert send(api, alert())[0]["outcome"] == "started"


def test_what_was_started_before_the_queue_was_full_is_not_started_again(api, monkeypatch):
    monkeypatch.setattr(queue, "MOST_WAITING", 1)
    both, before = (alert(), alert(task="cifake")), counted(api)["started"]
    problem(api.post(PATH, json=notification(*both)), 503)
    assert counted(api)["started"] == before + 1
    end(runs()[0].id)
    assert [told["outcome"] for told in send(api, *both)] == ["resting", "started"]


def test_each_outcome_is_counted_from_zero(api):
    before = counted(api)
    assert set(before) >= {"started", "busy", "resting", "refused", "ignored"}
    send(api, alert(), alert(), alert(task=None), alert(status="resolved"))
    grown = {name: value - before[name] for name, value in counted(api).items()}
    assert grown == {"started": 1, "busy": 1, "resting": 0, "refused": 1, "ignored": 1}


def counted(api) -> dict[str, float]:
    lines = api.get("/metrics").text.splitlines()
    found = [line for line in lines if line.startswith("bonafide_hook_alerts_total{")]
    return {line.split('"')[1]: float(line.split()[-1]) for line in found}


def test_who_may_send_alerts(api):
    post = {"json": notification()}
    assert api.post(PATH, **post, headers=token("alerts")).status_code == 200
    problem(api.post(PATH, **post, headers=token("train")), 403)
    problem(api.post(PATH, **post, headers={"authorization": f"Bearer {'x' * 32}"}), 401)
    problem(api.post(PATH, **post, headers={b"authorization": "Bearer über".encode()}), 401)
    del api.headers["authorization"]
    problem(api.post(PATH, **post), 401)


def test_alertmanagers_token_opens_nothing_else(api):
    for path in (RUNS, "/predict"):
        problem(api.post(path, json={"task": "authenticity"}), 403)


def test_guesses_are_limited(make):
    api = make(address_rate="3/minute")
    guesses = [api.post(PATH, headers={"authorization": f"Bearer {number:032}"}) for number in range(9)]
    assert {response.status_code for response in guesses} == {401, 429}
    assert api.post(PATH, json=notification()).status_code == 429


@pytest.mark.parametrize(
    "changes",
    [
        {"version": "3"},
        {"version": 4},
        {"groupKey": None},
        {"status": "pending"},
        {"alerts": {}},
        {"alerts": [alert()] * 201},
        {"alerts": [{"status": "firing"}]},
        {"alerts": [alert(status="pending")]},
        {"alerts": [{**alert(), "labels": []}]},
        {"alerts": [{**alert(), "labels": {"task": 1}}]},
        {"alerts": [alert(task="x" * 1025)]},
        {"alerts": [{**alert(), "labels": {"a-b": "c"}}]},
        {"alerts": [{**alert(), "labels": {f"a{number}": "" for number in range(65)}}]},
    ],
)
def test_what_alertmanager_does_not_send_is_refused_whole(api, changes):
    problem(api.post(PATH, json=notification(alert()) | changes), 400)
    assert runs() == []


def test_what_a_newer_alertmanager_adds_is_passed_over(api):
    body = notification({**alert(), "new": {}}, new=[])
    assert api.post(PATH, json=body).json()["alerts"][0]["outcome"] == "started"


def test_a_body_of_another_kind_or_size_is_refused(api):
    problem(api.post(PATH, content=json.dumps(notification())), 415)
    as_json = {"content-type": "application/json"}
    problem(api.post(PATH, content=b" " * (256 * 1024 + 1), headers=as_json), 413)
    problem(api.post(PATH, content=b"[" * 60_000, headers=as_json), 400)


def test_the_token_is_long_and_no_other_secret():
    from bonafide.config import parse

    for hook, told in (("short", "hook_token: needs 32 bytes"), (TOKENS["secret"], "another one")):
        with pytest.raises(ConfigError, match=told):
            parse(Settings, TOKENS | {"hook_token": hook}, "here")


def test_without_leave_to_start_pipelines_there_is_no_hook(serve):
    client = serve(**TOKENS, hook_token=HOOK)
    problem(client.post(PATH, json=notification(), headers={"authorization": f"Bearer {HOOK}"}), 404)

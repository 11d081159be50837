"""The service API, its store and a real model: what is asked, answered, filed and confirmed."""

import csv
import threading
from collections import Counter

import pytest
from starlette.testclient import TestClient

from bonafide.data.looks import looks
from bonafide.errors import BonafideError, ConfigError
from bonafide.feedback.reviews import Reviews
from bonafide.feedback.spool import Spool
from bonafide.feedback.store import Store
from bonafide.feedback.writer import Writer
from bonafide.serving.api.settings import Settings
from bonafide.serving.api.tokens import development_token
from bonafide.serving.client import HEADER
from bonafide.serving.collect.app import create_app
from bonafide.traffic import review
from bonafide.traffic.endpoint import Server
from bonafide.traffic.pictures import Pictures
from bonafide.traffic.review import Reviewer
from bonafide.traffic.simulate import Plan, simulate
from tests import http_server
from tests.cli.conftest import bonafide
from tests.serving.api.test_server import SECRET, running
from tests.serving.collect.agent import Agent
from tests.serving.conftest import start
from tests.traffic.test_simulate import Predictors, columns, nothing


def token(*scopes):
    settings = Settings(issuer="bonafide", audience="bonafide", secret=SECRET["BONAFIDE_API_SECRET"])
    return development_token(settings, "anna", scopes, 1)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return f"sqlite:///{tmp_path_factory.mktemp('store')}/store.db"


@pytest.fixture(scope="module")
def service(signed, place, tmp_path_factory):
    """The service API as a process, with a store and tokens."""
    home = {"BONAFIDE_HOME": str(tmp_path_factory.mktemp("home"))}
    given = [signed.path, "--public-key", signed.public_key, "--store", place]
    with running(*given, **SECRET, **home) as (url, _):
        yield url


def test_feedback_arrives_in_the_store(service, place, colours, tmp_path, monkeypatch):
    monkeypatch.setenv("BONAFIDE_API_TOKEN", token("predict", "feedback"))
    out = tmp_path / "requests.csv"
    told = bonafide(
        *(
            "simulate",
            service,
            "--images",
            colours,
            "--api=service",
            "--rate=15",
            "--seconds=3",
            "--out",
            out,
        ),
        *("--mix=red=0.4,blue=0.6", "--feedback=0.5", "--confirm", "--store", place),
    )
    rows = {row["prediction_id"]: row for row in csv.DictReader(out.read_text().splitlines())}
    assert len(rows) > 15
    reviews = Reviews(Store(place).database)
    filed = {each.prediction_id: each for each in reviews.newest(1000)}
    assert 0 < len(filed) < len(rows)
    assert f"feedback: {len(filed)} filed, {len(filed)} confirmed" in told
    for identity, each in filed.items():
        row = rows[identity]
        assert (each.label, each.verdict == "right") == (row["label"], row["label"] == row["answer"])
        assert (each.reviewer, each.state, each.decided_by) == ("anna", "confirmed", "bonafide simulate")
    found = {name: cells for name, *cells in columns(told)}
    wrong = [row for row in rows.values() if row["answer"] != row["label"]]
    assert wrong
    assert {row["path"] for row in wrong} == {"blue/1.png"}
    assert found["red"][1] == "100.0%"
    assert found["all"] == [f"{len(rows)}", f"{1 - len(wrong) / len(rows):.1%}"]
    [version] = {row["version"] for row in rows.values()}
    assert found[version][0] == f"{len(rows)}", "the service API does not tell who answered, but the version"


def test_what_a_v2_server_is_asked_is_found_by_its_event(service, signed, place, colours, tmp_path):
    """A predictor whose logger sends to the collector, which fills the store that the service API reads."""
    predictor, events = start(signed, "--version", "7"), []

    class Logger(http_server.Handler):
        def answer(self):
            asked = ("content-type", "ce-id", HEADER)
            headers = {name: self.headers[name] for name in asked if self.headers[name]}
            response, sent = Agent(predictor.url).pass_on(self.command, self.path, self.body(), **headers)
            events.extend(sent)
            for event, body in sent:
                assert collector.post("/", content=body, headers=event).status_code == 200
            answered = ("content-type", "content-encoding", HEADER)
            told = {name: response.headers[name] for name in answered if name in response.headers}
            self.reply(response.status_code, told, sent[-1][1])

    reviewer = Reviewer(1.0, service, token("feedback"))
    pictures = Pictures(str(colours), {"green": 1})
    writer = Writer(Store(place), Spool(tmp_path / "spool"), looks)
    try:
        with TestClient(create_app(writer)) as collector, http_server.serving(Logger) as url:
            server = Server(url, model="colour")
            outcome = simulate(server, pictures, Plan(rate=10, seconds=2), nothing, reviewer)
    finally:
        predictor.process.terminate()
        predictor.process.wait(30)
    assert outcome.feedback.filed == outcome.requests > 5
    assert (outcome.failures, outcome.feedback.confirmed, outcome.feedback.unfiled) == (0, 0, {})
    filed = Counter(each.prediction_id for each in Reviews(Store(place).database).newest(1000))
    assert all(filed[row.prediction_id] == 1 for row in outcome.rows)
    assert len(events) == 2 * outcome.requests


class Desk:
    """Takes feedback only at the ``tries``-th time; knows how often each was sent."""

    def __init__(self, tries):
        self.sent = sent = Counter()

        class Handler(http_server.JsonHandler):
            def ask(self, path, query, body):
                if not body:
                    raise http_server.RefusedError(400, "the request does not fit")
                identity = body["prediction_id"]
                sent[identity] += 1
                if sent[identity] < tries:
                    raise http_server.RefusedError(404, f"there is no prediction {identity!r}")
                return {"id": "f" * 32}

            def error(self, refused):
                return {"detail": str(refused)}

        self.serving = http_server.serving(Handler)


def asked(desk, folder, monkeypatch, patience, stop=None, seconds=1):
    monkeypatch.setattr(review, "FIRST_SECONDS", 0.02)
    monkeypatch.setattr(review, "PATIENCE_SECONDS", patience)
    with Predictors() as url, desk.serving as other:
        pictures = Pictures(str(folder), {})
        return simulate(Server(url), pictures, Plan(30, seconds), nothing, Reviewer(1.0, other), stop)


def test_what_is_on_its_way_is_tried_again(colours, monkeypatch):
    desk = Desk(3)
    outcome = asked(desk, colours, monkeypatch, 60)
    assert outcome.feedback.filed == len(desk.sent) == outcome.requests - outcome.failures > 0
    assert set(desk.sent.values()) == {3}


def test_what_is_not_stored_in_time_is_counted(colours, monkeypatch):
    desk = Desk(1000)
    outcome = asked(desk, colours, monkeypatch, 0.5)
    assert outcome.feedback.filed == 0
    assert outcome.feedback.unfiled == {"404, there is no prediction '…'": len(desk.sent)}
    assert min(desk.sent.values()) > 1


def test_an_end_before_the_time_does_not_wait_for_what_is_on_its_way(colours, monkeypatch):
    """Else this test would never end."""
    desk, stop = Desk(10**6), threading.Event()
    threading.Timer(1, stop.set).start()
    outcome = asked(desk, colours, monkeypatch, 10**6, stop, 10**6)
    assert outcome.feedback.unfiled.total() == len(desk.sent) == outcome.requests - outcome.failures > 0


def test_a_desk_that_goes_away_is_counted(colours, monkeypatch):
    desk = Desk(1)
    original = review.Desk._post

    async def away(self, prediction, label):
        self._http.base_url = "http://127.0.0.1:9"
        return await original(self, prediction, label)

    monkeypatch.setattr(review.Desk, "_post", away)
    outcome = asked(desk, colours, monkeypatch, 0.2)
    assert outcome.feedback.unfiled == {"no answer": outcome.requests - outcome.failures}


def test_what_cannot_be_confirmed_is_counted(colours, tmp_path, monkeypatch):
    """The desk says that it took it, but it is not in the store that was named."""
    store = Store(f"sqlite:///{tmp_path}/other.db")
    store.database.check()
    desk = Desk(1)
    with Predictors() as url, desk.serving as other:
        reviewer = Reviewer(0.5, other, reviews=Reviews(store.database))
        outcome = simulate(Server(url), Pictures(str(colours), {}), Plan(30, 1), nothing, reviewer)
    told = outcome.feedback
    assert (told.filed, told.confirmed) == (len(desk.sent), 0)
    assert 0 < told.filed < outcome.requests - outcome.failures
    [(reason, count)] = told.unconfirmed.items()
    assert reason.startswith("there is no feedback 'ffff")
    assert count == told.filed


def test_feedback_that_is_refused_is_counted_by_reason(service, colours):
    (colours / "red").rename(colours / "purple")
    pictures = Pictures(str(colours), {"purple": 1})
    access = token("predict", "feedback")
    server = Server(service, "service", token=access)
    outcome = simulate(server, pictures, Plan(10, 1), nothing, Reviewer(1.0, service, access))
    assert outcome.feedback.filed == 0
    [(reason, count)] = outcome.feedback.unfiled.items()
    assert reason == "409, 'purple' is none of the model's labels, blue, green, red"
    assert count == outcome.requests > 0


@pytest.mark.parametrize(
    ("scopes", "told"),
    [
        ([], r"refuses /predict: 401, .*; give a token with the scope predict in \$BONAFIDE_API_TOKEN"),
        (["feedback"], r"refuses /predict: 403, .*; give a token with the scope predict"),
        (["predict"], r"refuses /feedback: 403, .*; give a token with the scope feedback"),
    ],
)
def test_a_token_that_does_not_do_is_told_at_once(service, colours, scopes, told):
    access = token(*scopes) if scopes else ""
    server = Server(service, "service", token=access)
    reviewer = Reviewer(1.0, service, access)
    with pytest.raises(BonafideError, match=told) as error:
        simulate(server, Pictures(str(colours), {}), Plan(10, 600), nothing, reviewer)
    assert not access or access not in str(error.value)
    assert not access or access not in repr((server, reviewer))


def test_a_service_without_a_store_takes_no_feedback(signed, colours):
    with running(signed.path, "--public-key", signed.public_key) as (url, _):
        with pytest.raises(BonafideError, match="feedback is taken by: bonafide api --store"):
            pictures = Pictures(str(colours), {})
            simulate(Server(url, "service"), pictures, Plan(10, 600), nothing, Reviewer(1.0, url))
        outcome = simulate(Server(url, "service"), pictures, Plan(10, 1), nothing)
    assert outcome.requests > 0 == outcome.failures
    assert {row.prediction_id for row in outcome.rows} == {""}


def test_feedback_needs_labels(colours):
    pictures = Pictures(str(colours / "red"), {})
    with pytest.raises(ConfigError, match="put images in sub-folders that are labels"):
        simulate(Server("http://127.0.0.1:9"), pictures, Plan(1, 1), nothing, Reviewer(1, "http://x"))


def test_a_service_that_is_away_is_told(colours):
    server = Server("http://127.0.0.1:9", "service")
    with pytest.raises(BonafideError, match="does not answer: ConnectError; start one: bonafide api"):
        simulate(server, Pictures(str(colours), {}), Plan(1, 1), nothing)

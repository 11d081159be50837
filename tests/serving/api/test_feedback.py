"""Feedback by request: who may, what becomes of it, what is refused."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from hypothesis import given
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance
from starlette.testclient import TestClient

from bonafide.data.looks import looks
from bonafide.feedback.errors import StoreError, UnknownError
from bonafide.feedback.reviews import Reviews
from bonafide.feedback.spool import Spool
from bonafide.feedback.writer import Writer
from bonafide.serving.api import feedback, tokens, upload
from bonafide.serving.api.app import create_app
from bonafide.serving.api.settings import Settings
from tests.packages import TOPIC
from tests.patience import until
from tests.serving.api.conftest import RED, problem
from tests.serving.api.test_contract import RATES, TOKENS, bounded, conforms, read


@pytest.fixture
def app(local, store, tmp_path, monkeypatch):
    monkeypatch.setattr(feedback, "TELL_SECONDS", 0.05)
    writer = Writer(store, Spool(tmp_path / "spool"), looks)
    return create_app(local(), Settings(**TOKENS, **RATES), TOPIC, writer=writer)


@pytest.fixture
def api(app):
    with TestClient(app) as client:
        client.headers["authorization"] = f"Bearer {token('anna')}"
        yield client


def token(subject, *scopes):
    return tokens.development_token(Settings(**TOKENS), subject, scopes or ("predict", "feedback"), 1)


@pytest.fixture
def asked(api, store):
    """The id of a prediction that was stored; the model said red."""
    identity = api.post("/predict", files={"image": RED}).json()["prediction_id"]
    end = time.monotonic() + 30
    while store.find(identity) is None:
        assert time.monotonic() < end
        time.sleep(0.02)
    return identity


def test_feedback_is_filed_once_and_looked_at(api, asked):
    opinion = {"prediction_id": asked, "label": "blue", "note": "It is the sea."}
    filed = api.post("/feedback", json=opinion)
    assert filed.status_code == 201
    told = filed.json()
    assert (told["reviewer"], told["verdict"], told["state"]) == ("anna", "wrong", "new")
    assert told | opinion == told
    assert api.get(filed.headers["location"]).json() == told
    again = api.post("/feedback", json=opinion)
    assert (again.status_code, again.json()) == (200, told)
    changed = api.post("/feedback", json=opinion | {"label": "red"})
    assert (changed.status_code, changed.json()["verdict"]) == (200, "right")
    other = api.post("/feedback", json=opinion, headers={"authorization": f"Bearer {token('berta')}"})
    assert (other.status_code, other.json()["reviewer"]) == (201, "berta")


def test_what_waits_is_among_the_metrics(api, asked, store):
    """It is read from the database, where somebody else decides; and a task of which none waits has 0."""

    def told(count):
        task = store.find(asked).task
        until(lambda: f'bonafide_feedback_waiting{{task="{task}"}} {count}.0' in api.get("/metrics").text)

    opinion = {"prediction_id": asked, "label": "blue"}
    filed = api.post("/feedback", json=opinion).json()
    told(1)
    api.post("/feedback", json=opinion | {"label": "red"})
    api.post("/feedback", json=opinion, headers={"authorization": f"Bearer {token('berta')}"})
    told(2)
    Reviews(store.database).decide(filed["id"], "confirmed", "carla")
    told(1)
    [other] = Reviews(store.database).newest(10, state="new")
    Reviews(store.database).decide(other.id, "rejected", "carla")
    told(0)


def test_one_failure_does_not_end_the_count(app, monkeypatch):
    counts = iter([StoreError("away"), OSError("no memory"), {"counted": 7}])

    def waiting(_):
        found = next(counts, {"counted": 8})
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(Reviews, "waiting", waiting)
    with TestClient(app) as client:
        until(lambda: 'bonafide_feedback_waiting{task="counted"} 8.0' in client.get("/metrics").text)


def test_what_was_decided_is_not_contradicted(api, asked, store):
    opinion = {"prediction_id": asked, "label": "blue"}
    filed = api.post("/feedback", json=opinion).json()
    Reviews(store.database).decide(filed["id"], "confirmed", "carla")
    assert api.get(f"/feedback/{filed['id']}").json()["state"] == "confirmed"
    problem(api.post("/feedback", json=opinion | {"label": "red"}), 409)
    problem(api.post("/feedback", json=opinion | {"label": "no colour"}), 409)


def test_what_is_not_there_is_told(api):
    told = problem(api.post("/feedback", json={"prediction_id": "none", "label": "red"}), 404)
    assert "may be on its way: try again" in told["detail"]
    for path in ("none", "0" * 32, "%00", "%ff", "a" * 5000):
        problem(api.get(f"/feedback/{path}"), 404)


@pytest.mark.parametrize(
    "opinion",
    [
        {},
        {"prediction_id": "p"},
        {"prediction_id": "", "label": "red"},
        {"prediction_id": "p\0", "label": "red"},
        {"prediction_id": "p" * 161, "label": "red"},
        {"prediction_id": "p", "label": ""},
        {"prediction_id": "p", "label": "red", "note": "x" * 1001},
        {"prediction_id": "p", "label": "red", "note": "\0"},
        {"prediction_id": "p", "label": "red", "reviewer": "somebody else"},
        {"prediction_id": 7, "label": "red"},
    ],
)
def test_what_does_not_fit_is_refused(api, opinion):
    problem(api.post("/feedback", json=opinion), 400)


def test_a_body_of_another_kind_or_size_is_refused(api):
    problem(api.post("/feedback", content=b"{}", headers={"content-type": "text/plain"}), 415)
    as_json = {"content-type": "application/json"}
    problem(api.post("/feedback", content=b" " * 20_000, headers=as_json), 413)
    problem(api.post("/feedback", content=b"[" * 9_000, headers=as_json), 400)


def test_the_scope_is_needed(api):
    api.headers["authorization"] = f"Bearer {token('anna', 'predict', 'train')}"
    problem(api.post("/feedback", json={"prediction_id": "p", "label": "red"}), 403)
    problem(api.get("/feedback/none"), 403)
    del api.headers["authorization"]
    problem(api.post("/feedback", content=b"{"), 401)


def test_without_a_store_there_are_no_such_paths(client):
    problem(client.post("/feedback", json={"prediction_id": "p", "label": "red"}), 404)


def test_a_store_that_is_away_is_a_503(api, store, tmp_path):
    def asked():
        """What tells the gauges may have it open, and write it anew."""
        store.database.close()
        (tmp_path / "store.db").write_bytes(b"x" * 4096)
        for leftover in tmp_path.glob("store.db-*"):
            leftover.unlink(missing_ok=True)
        return api.post("/feedback", json={"prediction_id": "p", "label": "red"})

    response = until(asked, lambda answer: answer.status_code == 503)
    problem(response, 503)
    assert response.headers["retry-after"] == "5"


def test_a_store_that_makes_wait_holds_up_no_prediction(app, monkeypatch):
    """A form of that size is parsed on another thread."""
    let_go = threading.Event()

    def wait(_, prediction, *__):
        let_go.wait()
        raise UnknownError(prediction)

    async def ask():
        headers = {"authorization": f"Bearer {token('anna')}"}
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://api", headers=headers) as client:
            opinion = {"prediction_id": "p", "label": "red"}
            ask = (client.post("/feedback", json=opinion) for _ in range(feedback.AT_ONCE + 6))
            waiting = [asyncio.create_task(each) for each in ask]
            try:
                full, _ = await asyncio.wait(waiting, timeout=30, return_when=asyncio.FIRST_COMPLETED)
                image = RED + b"\0" * upload.QUICK
                async with asyncio.timeout(30):
                    predicted = await client.post("/predict", files={"image": image})
                return predicted, [each.result() for each in full]
            finally:
                let_go.set()
                statuses.extend(each.status_code for each in await asyncio.gather(*waiting))

    statuses = []
    monkeypatch.setattr(Reviews, "file", wait)
    predicted, full = asyncio.run(ask())
    assert predicted.status_code == 200
    assert (statuses.count(404), statuses.count(503)) == (feedback.AT_ONCE, 6)
    assert {each.headers["retry-after"] for each in full} == {"5"}
    assert "too many requests wait for the store" in problem(full[0], 503)["detail"]


@pytest.mark.e2e
def test_a_thousand_at_once(api, asked):
    def file(number):
        headers = {"authorization": f"Bearer {token(f'reviewer {number % 100}')}"}
        opinion = {"prediction_id": asked, "label": "blue"}
        return api.post("/feedback", json=opinion, headers=headers).status_code

    with ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(file, range(1000)))
    assert (statuses.count(201), statuses.count(200)) == (100, 900)


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize(("method", "path"), [("POST", "/feedback"), ("GET", "/feedback/{feedback}")])
def test_the_document_says_what_is_so(app, method, path, mode):
    """There is no such prediction, so good form is not answered with 201."""
    document = read(app)

    @bounded
    @given(document[path][method].as_strategy(mode))
    def check(case):
        conforms(case, positive_data_acceptance)

    check()

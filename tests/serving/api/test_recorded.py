"""Predictions that are kept: an id in the answer, a row in the store, and no answer that fails for it."""

import asyncio
import hashlib
import io
import time

import httpx
import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from bonafide.data.looks import looks
from bonafide.errors import BonafideError
from bonafide.feedback.spool import Spool
from bonafide.feedback.store import Store
from bonafide.feedback.writer import Writer
from bonafide.serving.answer import Answer
from bonafide.serving.api import recorded
from bonafide.serving.api.app import create_app
from bonafide.serving.api.recorded import Recorded
from bonafide.serving.api.settings import Settings
from bonafide.serving.client import Client
from bonafide.serving.errors import Overloaded, RequestError
from bonafide.telemetry import metrics
from tests.packages import TOPIC
from tests.serving.api.conftest import BLUE, RED, problem
from tests.serving.api.test_server import command, running
from tests.serving.api.test_upstream import answering


@pytest.fixture
def keeping(local, store, tmp_path):
    """A client of the application that keeps what it answers."""

    def make(upstream=None, kept=store):
        writer = Writer(kept, Spool(tmp_path / "spool"), looks)
        return TestClient(create_app(upstream or local(), Settings(), TOPIC, writer=writer))

    return make


def test_an_answer_has_the_id_that_it_is_kept_under(keeping, store):
    with keeping() as client:
        answer = client.post("/predict", files={"image": BLUE}).json()
    found = store.find(answer["prediction_id"])
    assert (found.task, found.version, found.label) == ("colour", "7", "blue")
    assert found.uncertain is answer["uncertain"]
    assert found.probabilities == pytest.approx(answer["probabilities"])
    assert found.sha256 == hashlib.sha256(BLUE).hexdigest()
    assert found.statistics == looks(BLUE)
    assert found.latency_ms > 0
    pixels = np.asarray(Image.open(io.BytesIO(BLUE)).convert("RGB"), dtype=float)
    embedding = np.frombuffer(found.embedding, "<f4")
    np.testing.assert_allclose(embedding, pixels.mean(axis=(0, 1)) / 255, atol=0.01)


def test_each_state_of_feedback_is_told_before_there_is_any(keeping):
    metrics.FEEDBACK.clear()
    with keeping() as client:
        client.post("/predict", files={"image": RED})
        told = client.get("/metrics").text
    for state in ("new", "confirmed", "rejected"):
        assert f'bonafide_feedback_total{{state="{state}",task="colour"}} 0.0' in told


def test_requests_of_one_id_are_predictions_of_their_own(keeping, store):
    with keeping() as client:
        for _ in range(3):
            client.post("/predict", files={"image": RED}, headers={"x-request-id": "traced"})
    assert store.count() == 3


def test_each_image_of_a_batch_is_kept_and_refused_ones_are_not(keeping, store):
    with keeping() as client:
        good = client.post("/predict/batch", files=[("images", each) for each in (RED, BLUE)]).json()
        mixed = client.post("/predict/batch", files=[("images", each) for each in (RED, b"no image")]).json()
    ids = [each["verdict"]["prediction_id"] for each in good["results"]]
    assert [store.find(each).label for each in ids] == ["red", "blue"]
    assert [each.rpartition(".")[2] for each in ids] == ["0", "1"]
    assert store.find(mixed["results"][0]["verdict"]["prediction_id"]).label == "red"
    assert store.count() == 3


def test_an_explanation_is_kept_too(keeping, store):
    with keeping() as client:
        answer = client.post("/predict/explain", files={"image": RED}).json()
    assert np.shape(answer["heatmap"]) == (4, 4)
    assert store.find(answer["prediction_id"]).label == "red"


def test_without_a_store_an_answer_has_no_such_id(client):
    assert "prediction_id" not in client.post("/predict", files={"image": RED}).json()
    batch = client.post("/predict/batch", files=[("images", RED)]).json()
    assert "prediction_id" not in batch["results"][0]["verdict"]


class Broken:
    """A store that fails in every way."""

    database = None

    def add(self, rows):
        raise RuntimeError("the database is on fire")


def test_a_store_that_fails_fails_no_answer(keeping, monkeypatch):
    def full(*_):
        raise BonafideError("No space left on device")

    monkeypatch.setattr(Spool, "append", full)
    with keeping(kept=Broken()) as client:
        for _ in range(5):
            assert client.post("/predict", files={"image": RED}).status_code == 200


class Bare:
    """A predictor without embeddings, which knows how it was asked."""

    def __init__(self, refusal="outputs: 'embedding' is unknown; this model has label"):
        self.asked, self.refusal = [], refusal

    async def infer(self, images, outputs=recorded.OUTPUTS):
        self.asked.append(outputs)
        if "embedding" in outputs:
            raise RequestError(self.refusal)
        label = np.array([b"red"], dtype=object)
        shares, unsure = np.array([[0.9, 0.1]], np.float32), np.array([False])
        given = {"label": label, "uncertain": unsure, "probabilities": shares}
        return Answer("colour", "7", ("red", "blue"), given)


class Taking:
    """A writer that takes notes."""

    def __init__(self):
        self.taken = []

    def put(self, draft, content=None):
        self.taken.append((draft, content))


def test_a_model_without_embeddings_is_asked_for_one_once_a_minute(monkeypatch):
    bare, writer, now = Bare(), Taking(), [1000.0]
    monkeypatch.setattr(recorded, "monotonic", lambda: now[0])
    upstream = Recorded(bare, writer)
    for later in (0, 1, 58, 2):
        now[0] += later
        answer = asyncio.run(upstream.infer([RED]))
    assert ["embedding" in outputs for outputs in bare.asked] == [True, False, False, False, True, False]
    assert [draft.id for draft, _ in writer.taken][-1:] == list(answer.ids)
    assert writer.taken[0][0].embedding is None
    assert writer.taken[0][1] is RED


def test_another_refusal_is_the_callers():
    bare = Bare(refusal="image[0]: truncated: cut off")
    with pytest.raises(RequestError, match="truncated"):
        asyncio.run(Recorded(bare, Taking()).infer([RED]))
    assert len(bare.asked) == 1


def test_a_model_of_this_process_without_that_output_is_refused_alike(local):
    with pytest.raises(RequestError, match=r"^outputs: 'depth' is unknown; this model has label, "):
        asyncio.run(local().infer([RED], ("label", "depth")))


def test_the_predictors_logger_is_told_the_id():
    with answering(503, "{}") as (url, requests), pytest.raises(Overloaded):
        asyncio.run(Recorded(Client(url), Taking()).infer([RED]))
    assert len(requests[0]["ce-id"]) == 32
    with answering(503, "{}") as (url, requests), pytest.raises(Overloaded):
        asyncio.run(Client(url).infer([RED]))
    assert "ce-id" not in requests[0]


def test_a_predictor_over_the_network_gives_its_embedding(server, keeping, store):
    with keeping(Client(server.url)) as client:
        answer = client.post("/predict", files={"image": RED}).json()
    assert np.frombuffer(store.find(answer["prediction_id"]).embedding, "<f4").shape == (3,)


def test_the_command_keeps_predictions_and_images(signed, tmp_path, own_home):
    given = [signed.path, "--public-key", signed.public_key, "--store", "local"]
    with running(*given, "--store-images", tmp_path / "images") as (url, process):
        answer = httpx.post(f"{url}/predict", files={"image": RED}).json()
        stored = 'bonafide_predictions_stored_total{outcome="stored"} 1.0'
        end = time.monotonic() + 30
        while stored not in httpx.get(f"{url}/metrics").text:
            assert time.monotonic() < end
            time.sleep(0.05)
        process.terminate()
        process.wait(30)
    store = Store(f"sqlite:///{own_home}/store.db")
    assert (tmp_path / "images").resolve().as_posix() in store.find(answer["prediction_id"]).image


def test_a_database_that_is_away_does_not_keep_the_command_from_starting(signed):
    given = [signed.path, "--public-key", signed.public_key, "--store", "postgresql://u:hush@127.0.0.1:9/x"]
    with running(*given) as (url, process):
        assert httpx.post(f"{url}/predict", files={"image": RED}).status_code == 200
        process.terminate()
        log = process.stderr.read()
    assert "predictions wait in the spool" in log
    assert "hush" not in log


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (["--store-images", "somewhere"], "give --store too"),
        (["--store", "mysql://host"], "the store cannot be 'mysql'"),
        (["--store", "nonsense"], "cannot be read"),
    ],
)
def test_what_does_not_fit_is_told(given, reason):
    result = command("api", "--url", "http://127.0.0.1:9", *given)
    assert (result.returncode, reason in result.stderr) == (2, True), result.stderr


def test_tables_of_another_version_keep_the_command_from_starting(postgresql):
    postgresql.execute("CREATE DATABASE outdated")
    result = command("api", "--url", "http://127.0.0.1:9", "--store", postgresql.address("outdated"))
    assert result.returncode == 2
    assert "run 'bonafide feedback migrate'" in result.stderr


def test_problems_are_problems_still(keeping):
    with keeping() as client:
        problem(client.post("/predict", files={"image": b"no image"}), 415)

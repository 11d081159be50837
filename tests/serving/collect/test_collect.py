"""Events as KServe's agent makes them, of the real predictor's requests and answers, become predictions."""

import base64
import gzip
import hashlib
import itertools
import json
import time

import httpx
import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from bonafide.data.looks import looks
from bonafide.feedback.spool import Spool
from bonafide.feedback.store import Store
from bonafide.feedback.writer import Writer
from bonafide.serving.answer import Answer
from bonafide.serving.client import HEADER, question
from bonafide.serving.collect import app, halves, joining
from bonafide.serving.collect.app import create_app
from bonafide.serving.collect.halves import Asked
from bonafide.serving.collect.joining import Joiner
from bonafide.serving.errors import RequestError
from bonafide.serving.known import Known
from bonafide.telemetry import metrics
from tests.feedback.conftest import prediction
from tests.serving.api.conftest import BLUE, RED, problem
from tests.serving.collect.agent import REQUEST, RESPONSE, Agent, event

INFER = "/v2/models/colour/infer"
OCTETS = "application/octet-stream"
ALL = ("label", "uncertain", "probabilities", "embedding")


@pytest.fixture
def agent(server):
    return Agent(server.url)


def counted(outcome):
    return metrics.COLLECTED_EVENTS.labels(outcome)._value.get()


def binary(agent, *images, outputs=ALL, **headers):
    """A request as the client of this project sends it."""
    parts = [bytes(part) for part in question(images, outputs)]
    headers |= {HEADER: str(len(parts[0])), "content-type": OCTETS}
    return agent.pass_on("POST", INFER, b"".join(parts), **headers)


def plain(agent, *images, **headers):
    """A request in JSON alone."""
    data = [base64.b64encode(image).decode() for image in images]
    tensor = {"name": "image", "shape": [len(data)], "datatype": "BYTES", "data": data}
    content = json.dumps({"inputs": [tensor]}).encode()
    return agent.pass_on("POST", INFER, content, **headers, **{"content-type": "application/json"})


def mixed(agent, *images, **headers):
    """JSON that asks for a binary answer: the events say JSON of both."""
    data = [base64.b64encode(image).decode() for image in images]
    tensor = {"name": "image", "shape": [len(data)], "datatype": "BYTES", "data": data}
    asked = {"inputs": [tensor], "parameters": {"binary_data_output": True}}
    return agent.pass_on(
        "POST", INFER, json.dumps(asked).encode(), **headers, **{"content-type": "application/json"}
    )


def compressed(agent, *images, **headers):
    """Both are compressed, and no event tells so; there are enough images for an answer that is."""
    parts = b"".join(bytes(part) for part in question(images, (*ALL, "heatmap")))
    head = {HEADER: str(len(question(images, (*ALL, "heatmap"))[0])), "content-type": OCTETS}
    head |= {"content-encoding": "gzip", "accept-encoding": "gzip"}
    return agent.pass_on("POST", INFER, gzip.compress(parts), **headers, **head)


def send(collector, events):
    for headers, body in events:
        response = collector.post("/", content=body, headers=headers)
        assert response.status_code == 200, response.text


def find(store, identity, seconds=30):
    end = time.monotonic() + seconds
    while (found := store.find(identity)) is None:
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)
    return found


@pytest.mark.parametrize("ask", [binary, plain, mixed])
@pytest.mark.parametrize("order", [1, -1])
def test_both_halves_make_a_prediction_in_either_order(collector, agent, store, ask, order):
    _, events = ask(agent, BLUE, **{"ce-id": f"mine-{ask.__name__}-{order}"})
    send(collector, events[::order])
    found = find(store, f"mine-{ask.__name__}-{order}")
    assert (found.task, found.version, found.label, found.predictor) == ("colour", "7", "blue", "colour")
    assert found.probabilities["blue"] == pytest.approx(0.98, abs=0.02)
    assert found.sha256 == hashlib.sha256(BLUE).hexdigest()
    assert found.statistics == looks(BLUE)
    assert (found.embedding is not None) == (ask is binary)
    assert found.latency_ms is None


def test_what_was_compressed_is_read(collector, agent, store):
    images = [RED, BLUE] * 8
    response, events = compressed(agent, *images, **{"ce-id": "small"})
    assert response.headers["content-encoding"] == "gzip"
    assert events[1][1][:2] == b"\x1f\x8b"
    send(collector, events)
    assert [find(store, f"small.{number}").label for number in range(16)] == ["red", "blue"] * 8


def test_without_an_id_of_the_client_s_each_is_a_prediction_of_its_own(collector, agent, store):
    for _ in range(3):
        send(collector, binary(agent, RED, **{"x-request-id": "the same"})[1])
    end = time.monotonic() + 30
    while store.count() < 3:
        assert time.monotonic() < end
        time.sleep(0.02)


def test_pixels_tell_their_size_and_brightness(collector, agent, store):
    pixels = np.full((2, 20, 30, 3), 51, np.uint8)
    tensor = {"name": "pixels", "shape": pixels.shape, "datatype": "UINT8"}
    head = json.dumps({"inputs": [tensor | {"parameters": {"binary_data_size": pixels.size}}]}).encode()
    headers = {HEADER: str(len(head)), "content-type": OCTETS, "ce-id": "raw"}
    send(collector, agent.pass_on("POST", INFER, head + pixels.tobytes(), **headers)[1])
    found = find(store, "raw.1")
    assert found.statistics == {"width": 30, "height": 20, "brightness": pytest.approx(0.2)}
    assert found.sha256 is None


def test_a_request_that_was_refused_is_forgotten(collector, agent, store, monkeypatch):
    monkeypatch.setattr(joining, "WAIT_SECONDS", 0)
    before = counted("unanswered")
    response, events = binary(agent, b"no image")
    assert (response.status_code, len(events)) == (415, 1)
    send(collector, events)
    end = time.monotonic() + 30
    while counted("unanswered") == before:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert store.count() == 0


def test_what_is_no_inference_is_ignored(collector, agent, store):
    before = counted("ignored")
    for path in ("/v2/models", "/v2/models/colour", "/v2/health/ready"):
        send(collector, agent.pass_on("GET", path)[1])
    assert counted("ignored") == before + 6


def test_an_answer_whose_request_is_lost_is_kept_when_the_collector_ends(store, agent, tmp_path):
    with TestClient(create_app(Writer(store, Spool(tmp_path / "spool"), looks))) as collector:
        send(collector, binary(agent, RED, **{"ce-id": "alone"})[1][1:])
    found = store.find("alone")
    assert (found.label, found.sha256, found.statistics) == ("red", None, {})


def test_what_is_sent_again_is_kept_once(store, agent, tmp_path):
    with TestClient(create_app(Writer(store, Spool(tmp_path / "spool"), looks))) as collector:
        _, events = binary(agent, RED, **{"ce-id": "twice"})
        send(collector, [events[0], events[0], events[1], *events, events[1]])
    assert store.count() == 1


@pytest.mark.parametrize("encoded", [True, False])
def test_structured_events_are_read(collector, agent, store, encoded):
    _, events = plain(agent, RED, **{"ce-id": f"structured-{encoded}"})
    for headers, body in events:
        content = {
            name.removeprefix("ce-"): value for name, value in headers.items() if name != "content-type"
        }
        data = {"data_base64": base64.b64encode(body).decode()} if encoded else {"data": json.loads(body)}
        headers = {"content-type": "application/cloudevents+json; charset=utf-8"}
        assert collector.post("/", content=json.dumps(content | data), headers=headers).status_code == 200
    assert find(store, f"structured-{encoded}").sha256 == hashlib.sha256(RED).hexdigest()


GOOD = event("an-id", REQUEST, "application/json")
TOLD = {"labels": '["a","b"]', "model_version": "1"}
ANSWERED = {
    "model_name": "m",
    "parameters": TOLD,
    "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [1, 2], "data": [0.5, 0.5]}],
}


def answer(**changes):
    return json.dumps(ANSWERED | changes)


def output(**changes):
    return answer(outputs=[ANSWERED["outputs"][0] | changes])


def labelled(**changes):
    label = {"name": "label", "datatype": "BYTES"} | changes
    return answer(outputs=[*ANSWERED["outputs"], label])


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({}, "", 400),
        ({name: value for name, value in GOOD.items() if name != "ce-id"}, "{}", 400),
        (GOOD | {"ce-specversion": "0.3"}, "{}", 400),
        (GOOD | {"ce-type": "org.example.other"}, "{}", 400),
        (GOOD | {"ce-id": "a b"}, "{}", 400),
        (GOOD | {"ce-id": "x" * 129}, "{}", 400),
        (GOOD | {"ce-id": "%00"}, "{}", 400),
        (GOOD, "no JSON", 400),
        (GOOD, '{"inputs": []}', 400),
        (GOOD, '{"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": ["%"]}]}', 400),
        (GOOD, "[" * 100_000, 400),
        (GOOD, b"\x1f\x8bno gzip", 400),
        (GOOD, gzip.compress(b"{}", mtime=0)[:-4], 413),
        (GOOD, "[" + "0," * 2**21 + "0]", 413),
        (GOOD | {"ce-type": RESPONSE}, answer(parameters={}), 400),
        (GOOD | {"ce-type": RESPONSE}, answer(parameters={"labels": "a", "model_version": "1"}), 400),
        (GOOD | {"ce-type": RESPONSE}, answer(model_name="m" * 254), 400),
        (GOOD | {"ce-type": RESPONSE}, answer(parameters=TOLD | {"model_version": "1" * 254}), 400),
        (GOOD | {"ce-type": RESPONSE}, answer(outputs=3), 400),
        (GOOD | {"ce-type": RESPONSE}, output(shape=[2, 2]), 400),
        (GOOD | {"ce-type": RESPONSE}, output(shape=[1, 1], data=[1.0]), 400),
        (GOOD | {"ce-type": RESPONSE}, output(shape=[0, 2], data=[]), 400),
        (GOOD | {"ce-type": RESPONSE}, output(data=["x", "y"]), 400),
        (GOOD | {"ce-type": RESPONSE}, output(datatype="FP64"), 400),
        (GOOD | {"ce-type": RESPONSE}, output(data=None, parameters={"binary_data_size": 8}), 400),
        (GOOD | {"ce-type": RESPONSE}, output(data=None, parameters={"binary_data_size": 10**30}), 400),
        (GOOD | {"ce-type": RESPONSE}, labelled(shape=[1], data=[[255]]), 400),
        (GOOD | {"ce-type": RESPONSE}, labelled(shape=[1], data=["c"]), 400),
        (GOOD | {"ce-type": RESPONSE}, labelled(shape=[1, 1], data=["a"]), 400),
        (GOOD | {"ce-type": RESPONSE}, labelled(shape=[1], data=[1.0], datatype="FP32"), 400),
        (GOOD | {"ce-type": RESPONSE}, labelled(shape=[1], data=["a"], name="embedding"), 400),
        ({"content-type": "application/cloudevents+json"}, "[]", 400),
        ({"content-type": "application/cloudevents+json"}, "{", 400),
        ({"content-type": "application/cloudevents+json"}, '{"data_base64": "%"}', 400),
    ],
)
def test_malformed_events_are_refused_and_counted(collector, headers, body, status):
    before = counted("malformed")
    problem(collector.post("/", content=body, headers=headers), status)
    assert counted("malformed") == before + 1


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=60)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from([*ANSWERED, "inputs", "name", "shape", "data"]), inner, max_size=4
            )
        ),
    ).map(lambda value: json.dumps(value).encode())
)
def test_whatever_a_body_is_it_is_understood_or_refused(body):
    for read in (halves.asked, halves.answered):
        try:
            read(body)
        except RequestError as error:
            assert error.status in (400, 413)


def test_nan_is_kept_as_unknown(store, tmp_path):
    body = orjson.dumps(ANSWERED)[:-1] + b"}"
    told = json.loads(body)
    told["outputs"][0] |= {"parameters": {"binary_data_size": 8}}
    del told["outputs"][0]["data"]
    content = json.dumps(told).encode() + np.array([np.nan, 1], "<f4").tobytes()
    with TestClient(create_app(Writer(store, Spool(tmp_path / "spool"), looks))) as collector:
        send(collector, [(event("nan", RESPONSE, OCTETS), content)])
    assert store.find("nan").probabilities == {"a": None, "b": 1.0}


class Kept(list):
    def __call__(self, *given):
        self.append(given)


def half(name, size=10):
    return Asked([Known(b"x" * size)]) if name == "asked" else Answer("m", "1", ("a",), {})


def test_an_answer_that_cannot_be_kept_costs_no_other_one(store, tmp_path, monkeypatch):
    monkeypatch.setattr(joining, "WAIT_SECONDS", 0)
    monkeypatch.setattr(app, "LOOK_SECONDS", 0.01)
    before, events = counted("malformed"), {name: (event(name, RESPONSE, ""), answer()) for name in "abc"}
    good = app.predictions

    def predictions(answer, about, identity, **options):
        if identity != "b":
            raise RuntimeError("whatever")
        return good(answer, about, identity, **options)

    monkeypatch.setattr(app, "predictions", predictions)
    with TestClient(create_app(Writer(store, Spool(tmp_path / "spool"), looks))) as collector:
        send(collector, [events["a"], events["b"]])
        assert find(store, "b").label == "a"
        monkeypatch.setattr(joining, "WAIT_SECONDS", 60)
        send(collector, [events["c"]])
    assert store.count() == 1
    assert counted("malformed") == before + 2


def test_the_writer_is_closed_whatever_fails_at_the_end(store, tmp_path, monkeypatch):
    def fail(_):
        raise RuntimeError("whatever")

    writer = Writer(store, Spool(tmp_path / "spool"), looks)
    monkeypatch.setattr(app.Collector, "finish", fail)
    with pytest.raises(RuntimeError, match="whatever"), TestClient(create_app(writer)):
        writer.put(prediction(1))
    assert store.find("p-1")


def test_what_an_answer_holds_is_counted_whole(monkeypatch):
    monkeypatch.setattr(joining, "MOST_BYTES", 2**20)
    label = np.array([b"x" * 2**22], dtype=object)
    joiner = Joiner(Kept())
    joiner.add("1", "p", Answer("m", "1", ("x" * 2**22,), {}))
    joiner.add("2", "p", Answer("m", "1", ("a",), {"label": label}))
    assert joiner._waiting == {}
    assert joiner._held == 0


def test_halves_meet_in_any_order_and_once():
    for order in itertools.permutations(
        [("1", "asked"), ("1", "answered"), ("2", "asked"), ("2", "answered")]
    ):
        kept = Kept()
        joiner = Joiner(kept)
        for identity, name in order:
            joiner.add(identity, "p", half(name))
        assert sorted(identity for identity, *_ in kept) == ["1", "2"]
        joiner.expire(float("inf"))
        assert len(kept) == 2
        assert joiner._held == 0


def test_there_is_an_end_to_waiting(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(joining, "monotonic", lambda: now[0])
    kept, before = Kept(), (counted("unanswered"), counted("unasked"))
    joiner = Joiner(kept)
    joiner.add("1", "p", half("asked"))
    now[0] += 30
    joiner.add("2", "p", half("answered"))
    joiner.expire()
    assert kept == []
    now[0] += 31
    joiner.expire()
    assert (counted("unanswered"), counted("unasked")) == (before[0] + 1, before[1])
    now[0] += 30
    joiner.expire()
    assert [given[0] for given in kept] == ["2"]
    assert kept[0][3] is None


@pytest.mark.parametrize(("name", "limit"), [("MOST", 3), ("MOST_BYTES", 30)])
def test_there_is_an_end_to_what_waits(monkeypatch, name, limit):
    monkeypatch.setattr(joining, name, limit)
    before = counted("unanswered")
    joiner = Joiner(Kept())
    for number in range(10):
        joiner.add(str(number), "p", half("asked"))
    assert len(joiner._waiting) == 3
    assert counted("unanswered") == before + 7


def test_the_command_collects(agent, own_home):
    import subprocess
    import sys

    command = [sys.executable, "-m", "bonafide", "collect", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        url = process.stdout.readline().split()[-1]
        for headers, body in binary(agent, RED, **{"ce-id": "by-command"})[1]:
            assert httpx.post(url, content=body, headers=headers).status_code == 200
        assert httpx.get(f"{url}/health").json() == {"status": "ok"}
        assert "bonafide_collected_events_total" in httpx.get(f"{url}/metrics").text
    finally:
        process.terminate()
        assert process.wait(30) == 0
    assert Store(f"sqlite:///{own_home}/store.db").find("by-command").label == "red"

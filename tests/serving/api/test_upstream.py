"""A predictor over the network: the real one, and servers that misbehave."""

import asyncio
import contextlib
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler

import numpy as np
import pytest

from bonafide.serving import client as asking
from bonafide.serving.client import OUTPUTS, Client
from tests import packages
from tests.http_server import serving
from tests.serving.api.conftest import BLUE, RED, problem

MODELS = json.dumps({"models": ["colour"]})


@contextlib.contextmanager
def answering(status, body, headers=None, delay=0.0):
    """A server with the model ``colour`` that answers every question so; yields its address and requests."""
    requests, waiting = [], threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.say(200, MODELS, {})

        def do_POST(self):
            self.rfile.read(int(self.headers["content-length"]))
            requests.append(dict(self.headers))
            waiting.wait(delay)
            self.say(status, body, headers or {})

        def say(self, status, body, headers):
            content = body.encode() if isinstance(body, str) else body
            with contextlib.suppress(OSError):
                self.send_response(status)
                for name, value in (headers | {"content-length": str(len(content))}).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

        def log_message(self, *_):
            pass

    with serving(Handler) as address:
        try:
            yield address, requests
        finally:
            waiting.set()


def test_both_predictors_answer_alike(server, local):
    async def ask(one):
        answer = await one.infer([RED, BLUE, RED], (*OUTPUTS, "heatmap"))
        assert await one.ready()
        await one.close()
        return answer

    near, far = (asyncio.run(ask(one)) for one in (local(), Client(server.url)))
    assert near.labels == far.labels == packages.LABELS
    assert near.names == far.names == ("red", "blue", "red")
    assert near.uncertain.tolist() == far.uncertain.tolist() == [False, False, False]
    np.testing.assert_allclose(near.probabilities, far.probabilities, atol=1e-6)
    np.testing.assert_allclose(near.outputs["heatmap"], far.outputs["heatmap"], atol=1e-6)
    assert (near.probabilities.shape, near.outputs["heatmap"].shape) == ((3, 3), (3, 4, 4))
    assert (near.model, near.version) == (far.model, far.version)


def test_the_service_in_front_of_a_predictor(serve, server):
    client = serve(Client(server.url))
    files = [("images", content) for content in (RED, b"no image", BLUE)]
    results = client.post("/predict/batch", files=files).json()["results"]
    assert results[0]["verdict"]["label"] == "red"
    assert results[1]["problem"]["reason"] == "not-an-image"
    assert results[2]["verdict"]["label"] == "blue"
    explained = client.post("/predict/explain", files={"image": RED}).json()
    assert explained["label"] == "red"
    assert np.shape(explained["heatmap"]) == (4, 4)
    body = problem(client.post("/predict", files={"image": RED[:60]}), 400)
    assert body["reason"] == "truncated"
    assert client.get("/ready").status_code == 200


def test_the_request_id_goes_along(serve):
    with answering(503, "{}") as (url, requests):
        serve(Client(url)).post("/predict", files={"image": RED}, headers={"x-request-id": "r-7"})
    assert [headers["x-request-id"] for headers in requests] == ["r-7"]


@pytest.mark.parametrize(
    ("status", "body", "headers", "told", "retry"),
    [
        (400, '{"error": "image[0]: truncated: cut off"}', {}, 400, None),
        (413, '{"error": "too large"}', {}, 413, None),
        (415, "no JSON", {}, 415, None),
        (404, '{"error": "no such model"}', {}, 503, "1"),
        (401, '{"error": "who are you"}', {}, 503, "1"),
        (500, "<html>", {}, 503, "1"),
        (503, '{"error": "busy"}', {"retry-after": "9"}, 503, "9"),
        (503, '{"error": "busy"}', {"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, 503, "1"),
        (200, "no JSON", {}, 503, "1"),
        (200, "{}", {}, 503, "1"),
        (200, "[]", {}, 503, "1"),
        (200, '{"model_name": "m", "outputs": [], "parameters": null}', {}, 503, "1"),
        (200, '{"model_name": "m", "outputs": []}', {"inference-header-content-length": "x"}, 503, "1"),
        (302, "", {"location": "http://127.0.0.1:9/"}, 503, "1"),
    ],
)
def test_what_the_predictor_says_is_passed_on_or_its_own_fault(serve, status, body, headers, told, retry):
    with answering(status, body, headers) as (url, _):
        response = serve(Client(url)).post("/predict", files={"image": RED})
    problem(response, told)
    assert response.headers.get("retry-after") == retry


def test_nobody_there_is_a_503(serve):
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        client = serve(Client(f"http://127.0.0.1:{taken.getsockname()[1]}"))
        response = client.post("/predict", files={"image": RED})
        problem(client.get("/ready"), 503)
    assert "ConnectError" in problem(response, 503)["detail"]
    assert response.headers["retry-after"] == "1"


def test_a_predictor_that_hangs_is_a_503(serve, monkeypatch):
    monkeypatch.setattr(asking, "TIMEOUT_SECONDS", 0.2)
    with answering(200, "{}", delay=30) as (url, _):
        response = serve(Client(url)).post("/predict", files={"image": RED})
    assert "ReadTimeout" in problem(response, 503)["detail"]


def test_a_gateway_is_asked_for_the_host_of_a_route(serve):
    with answering(503, "{}") as (url, requests):
        serve(Client(url, host="authenticity-dev.predictors.internal")).post("/predict", files={"image": RED})
    assert [headers["host"] for headers in requests] == ["authenticity-dev.predictors.internal"]


def test_with_several_models_one_must_be_named(serve, monkeypatch):
    monkeypatch.setattr(f"{__name__}.MODELS", json.dumps({"models": ["a", "b"]}))
    with answering(503, "{}") as (url, requests):
        response = serve(Client(url)).post("/predict", files={"image": RED})
        assert "--model" in problem(response, 503)["detail"]
        problem(serve(Client(url, "a")).post("/predict", files={"image": RED}), 503)
    assert len(requests) == 1


def test_a_full_queue_is_a_503(serve, local):
    client = serve(local(queue=2))
    response = client.post("/predict/batch", files=[("images", RED)] * 3)
    problem(response, 503)
    assert int(response.headers["retry-after"]) >= 1
    assert client.post("/predict/batch", files=[("images", RED)] * 2).status_code == 200

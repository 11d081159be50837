"""Start, refusal, stop; and the kserve REST client against the real process."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import httpx
import numpy as np
import pytest
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

from bonafide.errors import BonafideError
from bonafide.model.runtime import OnnxModel
from bonafide.serving.compute.engine import Engine
from bonafide.serving.compute.scheduler import Capacity, Scheduler
from bonafide.serving.models.predictor import Predictor
from bonafide.serving.models.versions import Models
from bonafide.serving.server import serve
from tests import packages
from tests.serving.conftest import start

RED = packages.image((200, 30, 30), 40, "JPEG")


def refusal(signed) -> str:
    """What the server says that does not start."""
    command = [sys.executable, "-m", "bonafide", "serve", signed.path, "--public-key", signed.public_key]
    ended = subprocess.run([*command, "--http-port=0", "--grpc-port=0"], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (2, "")
    return " ".join(ended.stderr.split())


def test_a_changed_package_is_not_served(signed, tmp_path):
    copy = signed._replace(path=shutil.copytree(signed.path, tmp_path / "package"))
    (copy.path / "gate.json").write_text('{"promote": true}')
    assert "gate.json was changed" in refusal(copy)


def test_a_package_of_a_stranger_is_not_served(signed, tmp_path):
    other = packages.make(tmp_path)
    assert "the signature does not hold" in refusal(signed._replace(public_key=other.public_key))


def serve_here(**changes):
    serve(Models(), **({"host": "127.0.0.1", "http_port": 0, "grpc_port": 0} | changes), announce=pytest.fail)


@pytest.mark.parametrize(
    ("option", "hint"), [("http_port", "another host or port"), ("grpc_port", "--grpc-port")]
)
def test_a_taken_port_is_told(option, hint):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BonafideError, match=f"cannot listen on 127.0.0.1:{port}.*{hint}"):
            serve_here(**{option: port})


def test_it_listens_where_it_is_told_only(server):
    port = int(server.url.rsplit(":", 1)[1])
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.2", port))


def test_the_kserve_client_is_answered(server):
    async def ask(raw: bool):
        client = InferenceRESTClient(RESTConfig(protocol="v2"))
        pixels = InferInput("pixels", [1, 16, 16, 3], "UINT8")
        pixels.set_data_from_numpy(np.full((1, 16, 16, 3), (200, 30, 30), np.uint8), binary_data=raw)
        answer = await client.infer(server.url, InferRequest("colour", [pixels]), model_name="colour")
        assert await client.is_server_ready(server.url)
        assert await client.is_model_ready(server.url, "colour")
        return answer

    for raw in (False, True):
        answer = asyncio.run(ask(raw))
        assert answer.get_output_by_name("label").data == ["red"]


def test_the_kserve_client_may_send_a_jpeg_as_binary(server):
    async def ask():
        image = InferInput("image", [1], "BYTES")
        image.set_data_from_numpy(np.array([RED], dtype=object), binary_data=True)
        client = InferenceRESTClient(RESTConfig(protocol="v2"))
        return await client.infer(server.url, InferRequest("colour", [image]), model_name="colour")

    assert asyncio.run(ask()).get_output_by_name("label").data == ["red"]


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_after_the_requests_begun(signed, name):
    running = start(signed)
    body = threading.Event()

    def slowly():
        yield b'{"inputs": [{"name": "pixels", "shape": [1, 8, 8, 3], "datatype": "UINT8", "data": ['
        body.wait(10)
        yield b", ".join([b"200, 0, 0"] * 64) + b"]}]}"

    answers = []
    url = f"{running.url}/v2/models/colour/infer"
    client = threading.Thread(target=lambda: answers.append(httpx.post(url, content=slowly(), timeout=20)))
    client.start()
    time.sleep(0.3)
    running.process.send_signal(name)
    time.sleep(0.3)
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{running.url}/v2/health/ready")
    body.set()
    client.join(20)
    assert running.process.wait(20) == 0
    assert answers[0].json()["outputs"][0]["data"] == ["red"]


def test_what_runs_beside_the_servers_ends_with_them_and_may_fail(models, caplog):
    ended = threading.Event()

    async def watch():
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def fail():
        raise ValueError("of the watcher")

    async def ready():
        async with httpx.AsyncClient() as client:
            while not said or (await client.get(f"{said[0].split(',')[0][8:]}/v2/health/ready")).is_error:
                await asyncio.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    said = []
    serve(
        models,
        host="127.0.0.1",
        http_port=0,
        grpc_port=0,
        announce=said.append,
        background=[watch, fail, ready],
    )
    assert len(said) == 1
    assert ended.is_set()
    assert "of the watcher" in caplog.text


def test_the_event_loop_stays_free_while_the_model_works(signed, monkeypatch):
    def slow(self, pixels, outputs):
        time.sleep(0.5)
        return {"probabilities": np.ones((1, 3), np.float32)}

    monkeypatch.setattr(OnnxModel, "run", slow)
    scheduler = Scheduler(Capacity.of(1))
    predictor = Predictor(Engine(signed.path, signed.public_key), scheduler, "1")

    async def ask():
        answer = asyncio.create_task(predictor.answer([RED], ("label",)))
        ticks = 0
        while not answer.done():
            await asyncio.sleep(0.01)
            ticks += 1
        return ticks

    assert asyncio.run(ask()) > 15
    scheduler.close()


def test_an_answer_does_not_wait_for_the_networks_delays(http):
    body = {"inputs": [{"name": "pixels", "shape": [1, 8, 8, 3], "datatype": "UINT8", "data": [9] * 192}]}
    seconds = []
    for _ in range(20):
        begin = time.perf_counter()
        http.post("/v2/models/colour/infer", json=body).raise_for_status()
        seconds.append(time.perf_counter() - begin)
    assert min(seconds) < 0.03


@pytest.mark.parametrize("host", ["no.such.host.invalid", "a" * 300])
def test_an_unknown_host_is_told(host):
    with pytest.raises(BonafideError, match=r"cannot listen on .*choose another host"):
        serve_here(host=host)


def test_many_clients_at_once_get_their_own_answers(server):
    colours = {"red": (220, 10, 10), "green": (10, 220, 10), "blue": (10, 10, 220)}

    async def ask(client, colour):
        pixels = np.full((1, 8, 8, 3), colours[colour], np.uint8)
        tensor = {"name": "pixels", "shape": pixels.shape, "datatype": "UINT8", "data": pixels.tolist()}
        answer = await client.post("/v2/models/colour/infer", json={"id": colour, "inputs": [tensor]})
        return answer.json()

    async def all_at_once():
        async with httpx.AsyncClient(base_url=server.url, timeout=30) as client:
            return await asyncio.gather(*(ask(client, colour) for colour in [*colours] * 30))

    for answer in asyncio.run(all_at_once()):
        assert answer["outputs"][0]["data"] == [answer["id"]]


def test_serving_imports_no_torch_mlflow_or_kfp():
    check = (
        "import sys, bonafide.serving.server, bonafide.serving.client;"
        "sys.exit(', '.join({'torch', 'mlflow', 'kfp'} & set(sys.modules)) or 0)"
    )
    result = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr

"""As many of the largest requests as are let in stay within the memory that the manifests grant."""

import asyncio
import base64
import re
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import grpc
import httpx
import numpy as np
import pytest
import yaml
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc
from PIL import Image

from bonafide.data.header import LIMITS
from bonafide.serving import client
from tests.serving.conftest import start

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
AT_ONCE = 12
SIDE = 2600
UNITS = {"Mi": 2**20, "Gi": 2**30}


@pytest.fixture(scope="module")
def picture():
    """A PNG file of noise, almost as large as an image may be, in bytes and in pixels."""
    stream = BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    Image.fromarray(noise).save(stream, "PNG", compress_level=0)
    content = stream.getvalue()
    assert 0.9 * LIMITS.max_bytes < len(content) < LIMITS.max_bytes
    return content


@pytest.fixture
def own_server(signed):
    """A server of this test's own, whose peak is that of the test."""
    running = start(signed, "--version", "7", "--deadline=60")
    yield running
    running.process.terminate()
    running.process.wait(30)


@pytest.fixture
def api(own_server):
    """The service API in front of it, as the manifest starts it."""
    command = [sys.executable, "-m", "bonafide", "api", "--port=0", "--no-auth", f"--url={own_server.url}"]
    process = subprocess.Popen(
        [*command, "--address-rate=9999/second", "--trusted-proxies=127.0.0.1"],
        stdout=subprocess.PIPE,
        text=True,
    )
    line = process.stdout.readline()
    yield re.search(r"http://[^,]+", line)[0], process
    process.terminate()
    process.wait(30)


def granted(manifest: str) -> int:
    """The container's limit, in bytes."""
    content = next(iter(yaml.safe_load_all((ROOT / manifest).read_text())))
    spec = content["spec"].get("template", content)["spec"]
    limit = spec["containers"][0]["resources"]["limits"]["memory"]
    return int(limit[:-2]) * UNITS[limit[-2:]]


def peak(process: subprocess.Popen) -> int:
    """The most that was resident, in bytes."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024


def binary(picture: bytes) -> dict:
    parts = client.question([picture] * 3, ("label",))
    headers = {client.HEADER: str(len(parts[0])), "content-type": "application/octet-stream"}
    return {"content": b"".join(parts), "headers": headers}


def text(picture: bytes) -> dict:
    data = [base64.b64encode(picture).decode()] * 2
    tensor = {"name": "image", "shape": [2], "datatype": "BYTES", "data": data}
    return {"json": {"inputs": [tensor], "outputs": [{"name": "label"}]}}


def together(url: str, *requests: dict) -> list[int]:
    """Statuses of requests that are sent at once, again and again."""

    async def ask():
        async with httpx.AsyncClient(timeout=120) as asking:
            return await asyncio.gather(*(asking.post(url, **request) for request in requests))

    return [answer.status_code for answer in asyncio.run(ask())]


def from_many(*requests: dict) -> list[dict]:
    """Requests of as many callers: one alone may not hold all that may be held."""
    return [
        request | {"headers": {**request.get("headers", {}), "x-forwarded-for": f"192.0.2.{number}"}}
        for number, request in enumerate(requests)
    ]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("kind", [binary, text])
def test_the_predictor_over_rest(own_server, picture, kind):
    request = kind(picture)
    statuses = together(f"{own_server.url}/v2/models/colour/infer", *[request] * AT_ONCE)
    assert set(statuses) <= {200, 503}
    assert statuses.count(200) >= 2
    assert peak(own_server.process) < granted("kserve/runtime.yaml")


def test_the_predictor_over_grpc(own_server, picture):
    raw = b"".join(client.question([picture] * 3, ())[1:])
    tensor = pb.ModelInferRequest.InferInputTensor(name="image", shape=[3], datatype="BYTES")
    request = pb.ModelInferRequest(model_name="colour", inputs=[tensor], raw_input_contents=[raw])

    async def ask():
        options = [("grpc.max_send_message_length", -1)]
        async with grpc.aio.insecure_channel(own_server.grpc, options=options) as channel:
            stub = grpc_predict_v2_pb2_grpc.GRPCInferenceServiceStub(channel)
            calls = [stub.ModelInfer(request) for _ in range(AT_ONCE)]
            return [await call.code() for call in calls]

    codes = asyncio.run(ask())
    assert set(codes) <= {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}
    assert codes.count(grpc.StatusCode.OK) >= 2
    assert peak(own_server.process) < granted("kserve/runtime.yaml")


def test_the_predictor_over_grpc_by_many_calls_that_wait(own_server):
    """Each is small, but what gRPC takes in ahead of its turn adds up, unless it is bounded."""
    tensor = pb.ModelInferRequest.InferInputTensor(name="image", shape=[1], datatype="BYTES")
    content = pb.ModelInferRequest(
        model_name="colour", inputs=[tensor], raw_input_contents=[bytes(2 * 2**20)]
    ).SerializeToString()

    async def ask():
        own = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", -1)]
        channels = [grpc.aio.insecure_channel(own_server.grpc, options=own) for _ in range(10)]
        method = "/inference.GRPCInferenceService/ModelInfer"
        calls = [channel.unary_unary(method)(content) for channel in channels for _ in range(50)]
        codes = [await call.code() for call in calls]
        for channel in channels:
            await channel.close()
        return codes

    codes = asyncio.run(ask())
    assert set(codes) <= {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
    }
    assert codes.count(grpc.StatusCode.INVALID_ARGUMENT) >= 2
    assert peak(own_server.process) < granted("kserve/runtime.yaml")


def progressive() -> bytes:
    """What costs most to decode: few bytes, as many pixels as a progressive JPEG may have."""
    stream = BytesIO()
    side = int(LIMITS.max_pixels_whole**0.5)
    Image.new("RGB", (side, side), (200, 30, 30)).save(stream, "JPEG", progressive=True, subsampling=0)
    return stream.getvalue()


def webp() -> bytes:
    stream = BytesIO()
    side = int(LIMITS.max_pixels_webp**0.5)
    Image.new("RGB", (side, side), (200, 30, 30)).save(stream, "WEBP", lossless=True, method=0)
    return stream.getvalue()


@pytest.mark.parametrize("costly", [progressive, webp])
def test_the_predictor_decoding_what_costs_most_beside_the_largest_bodies(own_server, picture, costly):
    requests = [*[binary(costly())] * 6, *[binary(picture)] * 6]
    statuses = together(f"{own_server.url}/v2/models/colour/infer", *requests)
    assert set(statuses) <= {200, 503}
    assert statuses.count(200) >= 6
    assert peak(own_server.process) < granted("kserve/runtime.yaml")


@pytest.mark.parametrize("costly", [progressive, webp])
def test_the_service_api_painting_what_costs_most_beside_the_largest_bodies(api, picture, costly):
    url, process = api
    explained = {"files": [("image", ("x", costly(), "image/jpeg"))], "headers": {"accept": "image/png"}}
    batch = {"files": [("images", ("x.png", picture, "image/png"))] * 3}

    async def ask():
        async with httpx.AsyncClient(timeout=120) as asking:
            batches = [asking.post(f"{url}/predict/batch", **each) for each in from_many(*[batch] * 3)]
            pictures = [asking.post(f"{url}/predict/explain", **each) for each in from_many(*[explained] * 6)]
            return await asyncio.gather(*batches, *pictures)

    statuses = [answer.status_code for answer in asyncio.run(ask())]
    assert set(statuses) <= {200, 503}
    assert statuses.count(200) >= 4
    assert peak(process) < granted("infra/api/deployment.yaml")


def test_the_service_api_in_front_of_a_predictor(api, picture):
    url, process = api
    batch = {"files": [("images", ("x.png", picture, "image/png"))] * 3}
    statuses = together(f"{url}/predict/batch", *from_many(*[batch] * AT_ONCE))
    assert set(statuses) <= {200, 503}
    assert statuses.count(200) >= 2
    explained = {"files": [("image", ("x.png", picture, "image/png"))], "headers": {"accept": "image/png"}}
    assert 200 in together(f"{url}/predict/explain", *from_many(*[explained] * AT_ONCE))
    assert peak(process) < granted("infra/api/deployment.yaml")

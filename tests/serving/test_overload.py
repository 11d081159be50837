"""More than a server can do: it refuses with 503 and when to come back, stays alive, and recovers."""

import asyncio
from collections import Counter
from io import BytesIO

import grpc
import httpx
import numpy as np
import pytest
from kserve import InferenceGRPCClient, InferInput, InferRequest
from PIL import Image

from bonafide.serving.v2 import wire
from tests import packages
from tests.serving.conftest import start

IMAGES = 64
CLIENTS = 16
INFER = "/v2/models/colour/infer"
PATIENCE = 200


@pytest.fixture(scope="module")
def busy(signed):
    running = start(signed, "--queue", str(IMAGES))
    yield running
    running.process.terminate()
    running.process.wait(30)


def heavy() -> bytes:
    """Noise, which takes long to decode."""
    noise = np.random.default_rng(1).integers(0, 256, (900, 900, 3), dtype=np.uint8)
    stream = BytesIO()
    Image.fromarray(noise).save(stream, "WEBP", quality=60)
    return stream.getvalue()


def question(images: list[bytes]) -> InferRequest:
    tensor = InferInput("image", [len(images)], "BYTES")
    tensor.set_data_from_numpy(np.array(images, dtype=object), binary_data=True)
    return InferRequest("colour", [tensor])


@pytest.mark.e2e
def test_a_full_queue_refuses_says_when_to_come_back_and_recovers(busy, capsys):
    content, length = question([heavy()] * IMAGES).to_rest()
    headers = {wire.HEADER: str(length)}
    refusals: list[int] = []
    alive: list[int] = []

    async def ask(client: httpx.AsyncClient) -> int:
        for attempt in range(PATIENCE):
            answer = await client.post(INFER, content=content, headers=headers)
            if answer.status_code != 503:
                return answer.status_code
            refusals.append(int(answer.headers["retry-after"]))
            await asyncio.sleep(min(refusals[-1], 2) * (1 + attempt % 3) / 2)
        return 503

    async def watch(client: httpx.AsyncClient) -> None:
        while True:
            alive.append((await client.get("/v2/health/live")).status_code)
            await asyncio.sleep(0.1)

    async def main() -> Counter:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=busy.url, timeout=60, limits=limits) as client:
            watching = asyncio.create_task(watch(client))
            statuses = Counter(await asyncio.gather(*(ask(client) for _ in range(CLIENTS))))
            watching.cancel()
            return statuses

    assert asyncio.run(main()) == {200: CLIENTS}
    assert refusals
    assert min(refusals) >= 1
    assert set(alive) == {200}
    refused = f"{len(refusals)} refusals, Retry-After {min(refusals)} to {max(refusals)} s"
    with capsys.disabled():
        print(f"\noverload: {CLIENTS} clients × {IMAGES} images, {refused}, all answered in the end")  # noqa: T201
    recovered(busy)


def test_over_grpc_a_full_queue_is_unavailable_with_retry_after(busy):
    asked = question([heavy()] * IMAGES)

    async def main() -> list:
        client = InferenceGRPCClient(busy.grpc, retries=0)
        answers = await asyncio.gather(*(client.infer(asked) for _ in range(6)), return_exceptions=True)
        await client.close()
        return answers

    errors = [answer for answer in asyncio.run(main()) if isinstance(answer, BaseException)]
    assert errors
    for error in errors:
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert int(dict(error.trailing_metadata())["retry-after"]) >= 1
    recovered(busy)


def recovered(busy) -> None:
    red = packages.image((250, 10, 10))
    content, length = question([red]).to_rest()
    with httpx.Client(base_url=busy.url, timeout=30) as client:
        answer = client.post(INFER, content=content, headers={wire.HEADER: str(length)})
        assert answer.status_code == 200
        assert answer.json()["outputs"][0]["data"] == ["red"]
        found = client.get("/metrics").text
    assert "bonafide_queue_images 0.0" in found
    assert 'outcome="overloaded"' in found

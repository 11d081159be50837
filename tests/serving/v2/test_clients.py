"""Clients of other houses read what the offline model answers: KServe's and NVIDIA's, REST and gRPC."""

import asyncio
import base64
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig
from PIL import Image

from bonafide.serving.client import predict_local

PYTHON = os.environ.get("BONAFIDE_TRITON_PYTHON") or (sys.executable if find_spec("tritonclient") else None)
NEEDED = "set BONAFIDE_TRITON_PYTHON to a Python that has tritonclient[http,grpc]"
FORMS = [
    ("RGB", "JPEG", {"quality": 90}),
    ("RGB", "JPEG", {"quality": 40, "progressive": True}),
    ("L", "JPEG", {}),
    ("CMYK", "JPEG", {}),
    ("RGB", "PNG", {}),
    ("RGBA", "PNG", {}),
    ("P", "PNG", {}),
    ("RGB", "WEBP", {"quality": 80}),
    ("RGB", "WEBP", {"lossless": True}),
    ("RGBA", "WEBP", {}),
]


def images(count: int) -> list[bytes]:
    """Image files of all forms and many sizes, of different colours."""
    chance = np.random.default_rng(3)
    files = []
    for number in range(count):
        mode, form, options = FORMS[number % len(FORMS)]
        width, height = chance.integers(16, 300, 2)
        corners = chance.integers(0, 256, (2, 2, 3), dtype=np.uint8)
        picture = Image.fromarray(corners).resize((width, height), Image.Resampling.BILINEAR).convert(mode)
        if mode == "RGBA":
            picture.putalpha(200)
        stream = BytesIO()
        picture.save(stream, form, **options)
        files.append(stream.getvalue())
    return files


@pytest.fixture(scope="module")
def contents():
    return images(200)


@pytest.fixture(scope="module")
def offline(signed, contents):
    probabilities = predict_local(signed.path, contents, True, signed.public_key).probabilities
    assert len(probabilities) == len(contents)
    assert probabilities.std(axis=0).min() > 0.05
    return probabilities


def tensor(content: bytes, raw: bool) -> InferInput:
    image = InferInput("image", [1], "BYTES")
    if raw:
        image.set_data_from_numpy(np.array([content], dtype=object), binary_data=True)
    else:
        image.data = [base64.b64encode(content).decode()]
    return image


@pytest.mark.parametrize("raw", [True, False])
def test_the_kserve_rest_client_reads_the_offline_answers(server, contents, offline, raw):
    async def ask():
        async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
            assert await client.is_server_live(server.url)
            assert await client.is_server_ready(server.url)
            assert await client.is_model_ready(server.url, "colour")
            return [
                await client.infer(
                    server.url, InferRequest("colour", [tensor(content, raw)]), model_name="colour"
                )
                for content in contents
            ]

    answers = asyncio.run(ask())
    found = np.stack([answer.get_output_by_name("probabilities").as_numpy()[0] for answer in answers])
    np.testing.assert_allclose(found, offline, atol=1e-4)


def test_the_kserve_grpc_client_reads_the_offline_answers(server, contents, offline):
    async def ask():
        async with InferenceGRPCClient(server.grpc) as client:
            assert await client.is_server_live()
            assert await client.is_server_ready()
            assert await client.is_model_ready("colour")
            return [
                await client.infer(InferRequest("colour", [tensor(content, True)])) for content in contents
            ]

    answers = asyncio.run(ask())
    found = np.stack([answer.get_output_by_name("probabilities").as_numpy()[0] for answer in answers])
    np.testing.assert_allclose(found, offline, atol=1e-4)


@pytest.mark.skipif(PYTHON is None, reason=NEEDED)
def test_tritonclient_reads_the_offline_answers(server, contents, offline, tmp_path):
    for number, content in enumerate(contents):
        (tmp_path / f"{number:03}").write_bytes(content)
    script = Path(__file__).with_name("triton_client.py")
    addresses = [server.url.removeprefix("http://"), server.grpc]
    result = subprocess.run(
        [PYTHON, script, *addresses, "colour", "7", tmp_path], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    answers = json.loads(result.stdout)
    assert len(answers) == 6
    for way, found in answers.items():
        np.testing.assert_allclose(found, offline, atol=1e-4, err_msg=way)

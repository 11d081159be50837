"""One rule, whoever answers: a grey picture is uncertain by every door, a red one by none."""

import json

import pytest
from starlette.testclient import TestClient

from bonafide.batch.run import score
from bonafide.serving.api.app import create_app
from bonafide.serving.api.settings import Settings
from bonafide.serving.client import Client, predict_local, predict_remote
from bonafide.serving.compute.engine import Engine
from tests import packages

GREY, RED = packages.image((120, 110, 100)), packages.image((200, 30, 30))


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "grey.png").write_bytes(GREY)
    (folder / "red.png").write_bytes(RED)
    return folder


def test_the_command_and_the_server(signed, server):
    for found in (
        predict_local(signed.path, [GREY, RED], False, signed.public_key),
        predict_remote(server.url, [GREY, RED], None, False),
    ):
        assert found.names == ("red", "red")
        assert found.uncertain.tolist() == [True, False]


def test_the_service_api(server):
    with TestClient(create_app(Client(server.url), Settings(), packages.TOPIC)) as client:
        grey, red = (client.post("/predict", files={"image": image}).json() for image in (GREY, RED))
    assert (grey["label"], grey["uncertain"], red["uncertain"]) == ("red", True, False)
    assert grey["confidence"] == grey["probabilities"]["red"]


def test_a_batch(signed, folder, tmp_path):
    engine = Engine(signed.path, signed.public_key, threads=1)
    score(str(folder), tmp_path / "out.csv", engine, "7", kind="csv")
    header, *rows = (line.split(",") for line in (tmp_path / "out.csv").read_text().splitlines())
    column = [name.strip('"') for name in header].index("uncertain")
    assert [json.loads(row[column]) for row in rows] == [True, False]

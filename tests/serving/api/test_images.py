"""What people come for: predict, batch, explain."""

import asyncio
import base64
import threading
from io import BytesIO

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from bonafide.data.decoding import ORIENTATION
from bonafide.serving.answer import Answer
from bonafide.serving.api.app import create_app
from bonafide.serving.api.settings import Settings
from bonafide.serving.client import OUTPUTS
from bonafide.serving.edge.limits import MAXIMUM_IMAGES
from tests import packages
from tests.serving.api.conftest import BLUE, RED, problem

PNG = {"content-type": "image/png"}


def test_a_form_is_answered(client):
    answer = client.post("/predict", files={"image": RED}).json()
    expected = packages.probabilities(np.full((1, 2, 2, 3), (220, 10, 10)))[0]
    assert list(answer["probabilities"]) == list(packages.LABELS)
    np.testing.assert_allclose(list(answer["probabilities"].values()), expected, rtol=1e-5)
    assert answer["confidence"] == answer["probabilities"]["red"]
    assert (answer["label"], answer["model"]) == ("red", "colour")
    assert answer["version"] == "7"


@pytest.mark.parametrize("kind", ["image/png", "image/jpeg; q=1", "Image/X-Unknown"])
def test_an_image_as_the_body_is_answered(client, kind):
    """The content decides the format, not what the client calls it."""
    assert client.post("/predict", content=RED, headers={"content-type": kind}).json()["label"] == "red"


def test_a_large_file_stays_in_memory(client, monkeypatch):
    def refuse(*_):
        raise AssertionError("nothing may be written to disk")

    noise = np.random.default_rng(0).integers(0, 256, (1024, 1024, 3), dtype=np.uint8)
    stream = BytesIO()
    Image.fromarray(noise).save(stream, "PNG")
    assert len(stream.getvalue()) > 2 * 2**20
    monkeypatch.setattr("tempfile.SpooledTemporaryFile.rollover", refuse)
    assert client.post("/predict", files={"image": stream.getvalue()}).status_code == 200


@pytest.mark.parametrize(
    ("status", "request_"),
    [
        (415, {}),
        (415, {"json": {"image": "x"}}),
        (415, {"data": {"image": "x"}}),
        (415, {"content": RED, "headers": PNG | {"content-encoding": "br"}}),
        (400, {"content": RED, "headers": PNG | {"content-encoding": "gzip"}}),
        (400, {"content": b"", "headers": PNG}),
        (400, {"files": {"image": b""}}),
        (400, {"files": {"picture": RED}}),
        (400, {"files": {"image": (None, "text")}}),
        (400, {"files": {"image": RED}, "data": {"more": "text"}}),
        (413, {"files": [("image", RED), ("image", RED)]}),
        (400, {"content": b"--x", "headers": {"content-type": "multipart/form-data"}}),
        (400, {"content": b"no form", "headers": {"content-type": "multipart/form-data; boundary=x"}}),
        (400, {"content": b"--x--\r\n", "headers": {"content-type": "multipart/form-data; boundary=x"}}),
    ],
    ids=range(14),
)
@pytest.mark.parametrize("path", ["/predict", "/predict/explain"])
def test_what_is_no_upload_is_refused(client, path, status, request_):
    problem(client.post(path, **request_), status)


@pytest.mark.parametrize(
    ("content", "status", "reason"),
    [
        (b"<svg/>", 415, "not-an-image"),
        (b"GIF89a", 415, "format"),
        (b"", 400, "empty"),
        (RED[:60], 400, "truncated"),
        (packages.image((1, 2, 3), 4), 400, "too-small"),
    ],
)
def test_a_refused_image_has_its_reason(client, content, status, reason):
    body = problem(client.post("/predict", content=content, headers=PNG), status)
    assert body["reason"] == reason
    assert "image[0]" not in body["detail"]


def test_a_body_above_the_limit_is_refused(client):
    body = problem(client.post("/predict", content=bytes(64 * 2**20 + 1), headers=PNG), 413)
    assert "67,108,864 bytes" in body["detail"]


def test_a_batch_keeps_the_order(client):
    files = [("images", RED), ("images", BLUE), ("images", RED)]
    results = client.post("/predict/batch", files=files).json()["results"]
    assert [result["verdict"]["label"] for result in results] == ["red", "blue", "red"]


def test_a_bad_image_does_not_spoil_the_others(client):
    files = [("images", content) for content in (RED, b"no image", BLUE, RED[:60], RED)]
    answer = client.post("/predict/batch", files=files)
    assert answer.status_code == 200
    results = answer.json()["results"]
    labels = [result.get("verdict", {}).get("label") for result in results]
    assert labels == ["red", None, "blue", None, "red"]
    problems = [result.get("problem") for result in results]
    assert [one and one["reason"] for one in problems] == [None, "not-an-image", None, "truncated", None]
    assert problems[1]["status"] == 415
    assert problems[1]["request_id"] == answer.headers["x-request-id"]


def test_the_batch_has_a_limit(client):
    files = [("images", RED)] * MAXIMUM_IMAGES
    assert len(client.post("/predict/batch", files=files).json()["results"]) == MAXIMUM_IMAGES
    problem(client.post("/predict/batch", files=[*files, *files]), 413)
    problem(client.post("/predict/batch", content=RED, headers=PNG), 415)


def bright(width, height, box, **saved):
    """A black picture with one bright place; heat in the test package is brightness."""
    picture = Image.new("RGB", (width, height))
    picture.paste((250, 250, 250), box)
    stream = BytesIO()
    picture.save(stream, saved.pop("format", "PNG"), **saved)
    return stream.getvalue()


def layer(answer):
    """The overlay's RGBA."""
    with Image.open(BytesIO(base64.b64decode(answer["overlay"]))) as picture:
        assert picture.mode == "P"
        return np.asarray(picture.convert("RGBA"))


def test_the_overlay_is_hot_where_the_evidence_is_and_clear_outside_the_crop(client):
    answer = client.post("/predict/explain", files={"image": bright(160, 80, (100, 10, 110, 20))}).json()
    assert np.unravel_index(np.argmax(answer["heatmap"]), (4, 4)) == (0, 3)
    overlay = layer(answer)
    assert overlay.shape == (224, 448, 4)
    assert (overlay[:, :112, 3] == 0).all()
    assert (overlay[:, 336:, 3] == 0).all()
    row, column = np.unravel_index(overlay[..., 3].argmax(), overlay.shape[:2])
    assert row < 56
    assert 280 <= column < 336
    assert overlay[row, column].tolist() == [252, 255, 164, 191]


def test_the_overlay_follows_the_orientation(client):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by 90°
    files = {"image": bright(160, 80, (45, 5, 55, 15), format="JPEG", exif=exif)}
    answer = client.post("/predict/explain", files=files).json()
    assert np.unravel_index(np.argmax(answer["heatmap"]), (4, 4)) == (0, 3)
    overlay = layer(answer)
    assert overlay.shape == (448, 224, 4)
    row, column = np.unravel_index(overlay[..., 3].argmax(), overlay.shape[:2])
    assert 112 <= row < 168
    assert column >= 168


def test_the_picture_itself_comes_to_those_who_ask_for_one(client):
    sent = bright(160, 80, (100, 10, 110, 20))
    overlay = layer(client.post("/predict/explain", files={"image": sent}).json()).astype(float)
    answer = client.post("/predict/explain", files={"image": sent}, headers={"accept": "image/png"})
    assert answer.headers["content-type"] == "image/png"
    with Image.open(BytesIO(answer.content)) as picture:
        assert (picture.mode, picture.size) == ("RGB", (448, 224))
        seen = np.asarray(picture)
    dark = np.s_[:, :250]  # nothing of the bright place
    np.testing.assert_allclose(seen[dark], overlay[dark][..., :3] * overlay[dark][..., 3:] / 255, atol=2)
    assert seen[42, 294].min() > 100


class Lenient:
    """A predictor that answers whatever it is sent, as one of another version might."""

    async def infer(self, images, outputs=OUTPUTS):
        found = {
            "label": np.array([b"a"], object),
            "uncertain": np.array([False]),
            "probabilities": np.full((1, 2), 0.5, np.float32),
            "heatmap": np.zeros((1, 4, 4), np.float32),
        }
        return Answer("colour", "8", ("a", "b"), found)

    async def close(self):
        pass


@pytest.mark.parametrize("accept", ["image/png", "application/json"])
def test_a_file_that_only_the_predictor_reads_cannot_be_explained(serve, accept):
    headers = {"accept": accept}
    body = problem(serve(Lenient()).post("/predict/explain", files={"image": b"x"}, headers=headers), 415)
    assert body["reason"] == "not-an-image"


def test_no_evidence_is_a_clear_overlay(serve):
    answer = serve(Lenient()).post("/predict/explain", files={"image": RED}).json()
    assert (layer(answer)[..., 3] == 0).all()


FORM = b'--x\r\nContent-Disposition: form-data; name="images"; filename="a"\r\n\r\n' + RED + b"\r\n--x--\r\n"


@settings(max_examples=300, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, len(FORM)), st.integers(0, 8), st.binary(max_size=8))
def test_a_damaged_form_is_never_our_fault(client, place, lost, found):
    form = FORM[:place] + found + FORM[place + lost :]
    headers = {"content-type": "multipart/form-data; boundary=x"}
    response = client.post("/predict/batch", content=form, headers=headers)
    assert response.status_code in (200, 400, 413)


def test_explaining_answers_the_same_as_predicting(client):
    explained = client.post("/predict/explain", files={"image": BLUE}).json()
    predicted = client.post("/predict", files={"image": BLUE}).json()
    assert {name: explained[name] for name in predicted if name != "request_id"} == {
        name: value for name, value in predicted.items() if name != "request_id"
    }


def turned_behind_its_pixels(side: int) -> bytes:
    """A PNG file that says only behind its pixels how to turn it, so that they are all decoded for that."""
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    stream = BytesIO()
    Image.new("RGB", (side, side)).save(stream, "PNG", exif=exif)
    content = stream.getvalue()
    begin = content.index(b"eXIf") - 4
    end = begin + 12 + int.from_bytes(content[begin : begin + 4])
    chunk, rest = content[begin:end], content[:begin] + content[end:]
    return rest.replace(rest[-12:], chunk + rest[-12:])


def test_explaining_decodes_nothing_on_the_event_loop(local, monkeypatch):
    threads, load = [], ImageFile.ImageFile.load

    def noted(image):
        threads.append(threading.get_ident())
        return load(image)

    async def ask():
        transport = httpx.ASGITransport(create_app(local(), Settings(), packages.TOPIC))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            content = turned_behind_its_pixels(400)
            return await client.post("/predict/explain", content=content, headers=PNG)

    monkeypatch.setattr(ImageFile.ImageFile, "load", noted)
    assert asyncio.run(ask()).status_code == 200
    assert len(threads) > 1
    assert threading.get_ident() not in threads

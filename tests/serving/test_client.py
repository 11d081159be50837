import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest

from bonafide.errors import BonafideError, ImageError, PackageError
from bonafide.serving.client import BATCH, predict_local, predict_remote, question
from bonafide.serving.sent import sent_of
from tests import packages, tables

COLOURS = [(220, 10, 10), (10, 220, 10), (10, 10, 220)]
IMAGES = [packages.image(colour, 40, "JPEG") for colour in COLOURS]
FRUIT = np.array([[5.1, 3.5, 2], [1, 9.25, 0]])
ROWS = dict(zip(tables.NAMES, FRUIT.T, strict=True))


@pytest.fixture
def impostor():
    """Some other web server; ``reply`` is what it says to everything."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            status, content = self.server.reply
            self.send_response(status)
            self.end_headers()
            self.wfile.write(content)

        def do_POST(self):
            self.rfile.read(int(self.headers["content-length"]))
            self.do_GET()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def address(impostor) -> str:
    return f"http://127.0.0.1:{impostor.server_port}"


@pytest.mark.parametrize("heatmap", [False, True])
def test_remote_and_local_answers_are_the_same(server, signed, heatmap):
    remote = predict_remote(server.url, IMAGES, None, heatmap)
    local = predict_local(signed.path, IMAGES, heatmap, signed.public_key)
    assert (remote.labels, remote.model, remote.version) == (packages.LABELS, "colour", "7")
    assert (local.labels, local.model) == (packages.LABELS, "colour")
    np.testing.assert_allclose(remote.probabilities, local.probabilities, atol=1e-6)
    assert list(remote.names) == ["red", "green", "blue"]
    if heatmap:
        np.testing.assert_allclose(remote.outputs["heatmap"], local.outputs["heatmap"], atol=1e-6)
    else:
        assert "heatmap" not in {*remote.outputs, *local.outputs}


def test_more_images_than_a_request_takes_are_split(server):
    count = BATCH * 2 + 5
    many = predict_remote(server.url, [IMAGES[index % 3] for index in range(count)], "colour", False)
    assert many.probabilities.shape == (count, 3)
    assert list(many.names) == [packages.LABELS[index % 3] for index in range(count)]


def test_a_refusal_tells_the_servers_reason(server):
    with pytest.raises(BonafideError, match=r"image\[1\]: not-an-image"):
        predict_remote(server.url, [IMAGES[0], b"hello"], None, False)


def test_an_unknown_model_is_told(server):
    with pytest.raises(BonafideError, match="answered 404: there is no model 'other'"):
        predict_remote(server.url, IMAGES, "other", False)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "nonsense", "ftp://127.0.0.1"])
def test_a_server_that_is_away_is_told(url):
    with pytest.raises(BonafideError, match=r"does not answer: .*bonafide serve"):
        predict_remote(url, IMAGES, None, False)


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        ((200, b"<html>"), "cannot be read"),
        ((200, b"[]"), "cannot be read"),
        ((200, b'{"models": ["a", "b"]}'), r"has the models \['a', 'b'\]; name one with --model"),
        ((200, b"{}"), r"cannot be read"),
        ((503, b'{"error": "not ready"}'), "answered 503: not ready"),
        ((200, json.dumps({"models": ["a"], "outputs": []}).encode()), "cannot be read"),
    ],
)
def test_another_kind_of_server_is_told(impostor, reply, message):
    impostor.reply = reply
    with pytest.raises(BonafideError, match=message):
        predict_remote(address(impostor), IMAGES, None, False)


def test_rows_are_answered_alike_remote_and_local_whatever_their_columns_order(fruit_server, fruit):
    remote = predict_remote(fruit_server.url, dict(reversed(ROWS.items())), None, False)
    local = predict_local(fruit.path, ROWS, False, fruit.public_key, "7")
    for answer in (remote, local):
        assert (answer.model, answer.version, answer.labels) == ("shape", "7", tables.LABELS)
        assert answer.columns == tables.NAMES
        assert answer.names == ("round", "long")
        np.testing.assert_allclose(answer.probabilities, tables.probabilities(FRUIT), rtol=1e-5)


def test_columns_that_do_not_fit_are_told_by_both(fruit_server, fruit):
    for changes, message in (
        ({"width": np.array([1, 9])}, r"width\[1\]: must be 7.9 or less, got 9"),
        ({"size": ROWS["width"]}, "'size' is no column of this model; it takes width, length, weight"),
    ):
        with pytest.raises(BonafideError, match=message):
            predict_remote(fruit_server.url, ROWS | changes, None, False)
        with pytest.raises(BonafideError, match=message):
            predict_local(fruit.path, ROWS | changes, False, fruit.public_key)


def test_a_package_of_the_other_kind_is_told(signed, fruit):
    with pytest.raises(PackageError, match="takes an image; a table's columns were expected"):
        predict_local(signed.path, ROWS, False, signed.public_key)
    with pytest.raises(PackageError, match="takes a table; images were expected"):
        predict_local(fruit.path, IMAGES, False, fruit.public_key)


def test_a_bad_file_and_a_bad_package_are_told_offline(signed, tmp_path):
    with pytest.raises(ImageError, match=r"image\[1\]: empty"):
        predict_local(signed.path, [IMAGES[0], b""], False, signed.public_key)
    with pytest.raises(PackageError, match="is no model package"):
        predict_local(tmp_path / "absent", [IMAGES[0]], False, tmp_path / "no.pub")


def test_rows_may_be_asked_about_as_one_block():
    head, numbers = question(
        sent_of([np.float32([1, 2]), np.float32([3, 4]), np.float32([5, 6])]), ("label",)
    )
    [tensor] = json.loads(head)["inputs"]
    assert (tensor["name"], tensor["shape"], tensor["datatype"]) == ("columns", [3, 2], "FP32")
    assert np.frombuffer(numbers, "<f4").tolist() == [1, 2, 3, 4, 5, 6]

"""The served model over REST: answers, binary tensors, and everything a client can get wrong."""

import base64
import gzip
import json
import struct
import zlib

import numpy as np
import pytest

from tests import packages

INFER = "/v2/models/colour/infer"
RED, BLUE = packages.image((200, 30, 30)), packages.image((10, 20, 250), 40, "WEBP")
IMAGE = {"name": "image", "shape": [1], "datatype": "BYTES"}
ELEMENT = struct.pack("<I", len(RED)) + RED


def text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def image_input(*contents: bytes, **changes) -> dict:
    tensor = {"name": "image", "shape": [len(contents)], "datatype": "BYTES"}
    return {"inputs": [tensor | {"data": [text(content) for content in contents]} | changes]}


def pixel_input(pixels, **changes) -> dict:
    shape = list(np.shape(pixels))
    tensor = {"name": "pixels", "shape": shape, "datatype": "UINT8", "data": np.array(pixels).tolist()}
    return {"inputs": [tensor | changes]}


def binary(tensor: dict, raw: bytes, **body) -> tuple[bytes, dict]:
    parameters = {"parameters": {"binary_data_size": len(raw)}}
    head = json.dumps({"inputs": [parameters | tensor]} | body).encode()
    return head + raw, {"Inference-Header-Content-Length": str(len(head))}


def outputs(answer: dict) -> dict:
    return {output["name"]: output for output in answer["outputs"]}


def test_encoded_images_are_answered(http):
    answer = http.post(INFER, json=image_input(RED, BLUE) | {"id": "mine"}).raise_for_status().json()
    assert (answer["id"], answer["model_name"], answer["model_version"]) == ("mine", "colour", "7")
    assert answer["parameters"] == {
        "model_version": "7",
        "labels": json.dumps(packages.LABELS),
    }
    label, probabilities, uncertain = answer["outputs"]
    assert uncertain == {"name": "uncertain", "shape": [2], "datatype": "BOOL", "data": [False, False]}
    assert label == {"name": "label", "shape": [2], "datatype": "BYTES", "data": ["red", "blue"]}
    assert (probabilities["name"], probabilities["shape"], probabilities["datatype"]) == (
        "probabilities",
        [2, 3],
        "FP32",
    )
    expected = packages.probabilities(np.full((1, 16, 16, 3), (200, 30, 30), np.uint8))
    np.testing.assert_allclose(probabilities["data"][:3], expected[0], rtol=1e-4)


def test_pixels_nested_flat_and_of_any_size_are_answered(http):
    pixels = np.full((2, 16, 24, 3), (0, 200, 50), np.uint8)
    expected = packages.probabilities(pixels).ravel()
    for data in (pixels.tolist(), pixels.ravel().tolist()):
        answer = http.post(INFER, json=pixel_input(pixels, data=data)).raise_for_status().json()
        np.testing.assert_allclose(outputs(answer)["probabilities"]["data"], expected, rtol=1e-4)


def test_outputs_on_request_come_in_the_order_asked(http):
    names = ["heatmap", "embedding", "label"]
    answer = http.post(INFER, json=image_input(RED) | {"outputs": [{"name": name} for name in names]}).json()
    assert [(output["name"], output["shape"]) for output in answer["outputs"]] == [
        ("heatmap", [1, 4, 4]),
        ("embedding", [1, 3]),
        ("label", [1]),
    ]
    np.testing.assert_allclose(outputs(answer)["embedding"]["data"], np.array([200, 30, 30]) / 255, rtol=1e-4)


def test_an_id_is_made_where_none_is_given(http):
    ids = {http.post(INFER, json=image_input(RED)).json()["id"] for _ in range(2)}
    assert len(ids) == 2
    assert all(ids)


def test_binary_images_that_are_no_text_are_answered(http):
    jpeg = packages.image((200, 30, 30), 40, "JPEG")
    with pytest.raises(UnicodeDecodeError):
        jpeg.decode()
    raw = b"".join(struct.pack("<I", len(content)) + content for content in (jpeg, BLUE))
    body, headers = binary({"name": "image", "shape": [2], "datatype": "BYTES"}, raw)
    answer = http.post(INFER, content=body, headers=headers).raise_for_status().json()
    assert outputs(answer)["label"]["data"] == ["red", "blue"]


def test_binary_pixels_with_binary_outputs_are_answered(http):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    body, headers = binary(
        {"name": "pixels", "shape": [3, 16, 16, 3], "datatype": "UINT8"},
        pixels.tobytes(),
        outputs=[{"name": "probabilities", "parameters": {"binary_data": True}}],
    )
    response = http.post(INFER, content=body, headers=headers).raise_for_status()
    raw = response.content[int(response.headers["inference-header-content-length"]) :]
    found = np.frombuffer(raw, "<f4").reshape(3, 3)
    np.testing.assert_allclose(found, packages.probabilities(pixels), rtol=1e-4)


def test_health_and_metadata(http):
    assert http.get("/v2/health/live").json() == {"live": True}
    assert http.get("/v2/models").json() == {"models": ["colour"]}
    assert http.get("/v2/models/colour/ready").json() == {"name": "colour", "ready": True}
    assert http.get("/v2").json()["name"] == "bonafide"
    metadata = http.get("/v2/models/colour").json()
    assert (metadata["name"], metadata["versions"]) == ("colour", ["7"])
    assert metadata["platform"] == "onnxruntime_onnx"
    assert http.get("/v2/models/colour/versions/7").json() == metadata
    assert http.get("/v2/models/colour/versions/7/ready").json() == {"name": "colour", "ready": True}
    assert {tensor["name"]: (tensor["datatype"], tensor["shape"]) for tensor in metadata["inputs"]} == {
        "image": ("BYTES", [-1]),
        "pixels": ("UINT8", [-1, -1, -1, 3]),
    }
    assert {tensor["name"]: (tensor["datatype"], tensor["shape"]) for tensor in metadata["outputs"]} == {
        "label": ("BYTES", [-1]),
        "probabilities": ("FP32", [-1, 3]),
        "uncertain": ("BOOL", [-1]),
        "embedding": ("FP32", [-1, 3]),
        "heatmap": ("FP32", [-1, 4, 4]),
    }


def test_the_repository_index_lists_what_is_loaded(http):
    entry = {"name": "colour", "version": "7", "state": "READY", "reason": ""}
    for body in (None, {}, {"ready": True}):
        assert http.post("/v2/repository/index", json=body).json() == [entry]
    assert http.post("/v2/repository/index", json={"ready": "yes"}).status_code == 400


def test_a_version_is_asked_for_by_its_path(http):
    answer = http.post("/v2/models/colour/versions/7/infer", json=image_input(RED)).raise_for_status().json()
    assert (answer["model_version"], outputs(answer)["label"]["data"]) == ("7", ["red"])


@pytest.mark.parametrize(
    ("coding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress), ("GZIP", gzip.compress)]
)
def test_compressed_bodies_are_answered(http, coding, compress):
    body, headers = binary(IMAGE, ELEMENT)
    for content, more in ((body, headers), (json.dumps(image_input(RED)).encode(), {})):
        headers = {"Content-Encoding": coding} | more
        answer = http.post(INFER, content=compress(content), headers=headers).raise_for_status().json()
        assert outputs(answer)["label"]["data"] == ["red"]


def test_long_answers_are_compressed_for_who_asks(http):
    body = image_input(*[RED] * 16)
    plain = http.post(INFER, json=body, headers={"Accept-Encoding": "identity"})
    packed = http.post(INFER, json=body, headers={"Accept-Encoding": "gzip"})
    short = http.post(INFER, json=image_input(RED), headers={"Accept-Encoding": "gzip"})
    assert [answer.headers.get("content-encoding") for answer in (plain, packed, short)] == [
        None,
        "gzip",
        None,
    ]
    assert int(packed.headers["content-length"]) < len(plain.content)
    probabilities = [outputs(answer.json())["probabilities"]["data"] for answer in (plain, packed)]
    np.testing.assert_allclose(*probabilities, atol=1e-6)


@pytest.mark.parametrize(
    ("whole", "one", "binary_names"),
    [
        (True, None, ["label", "probabilities"]),
        (True, False, ["probabilities"]),
        (False, True, ["label"]),
        (False, None, []),
    ],
)
def test_outputs_are_binary_as_the_request_or_each_says(http, whole, one, binary_names):
    label = {"name": "label"} if one is None else {"name": "label", "parameters": {"binary_data": one}}
    body = image_input(RED) | {
        "parameters": {"binary_data_output": whole, "other": [1]},
        "outputs": [label, {"name": "probabilities"}],
    }
    response = http.post(INFER, json=body).raise_for_status()
    length = int(response.headers.get("inference-header-content-length", len(response.content)))
    head, rest = json.loads(response.content[:length]), response.content[length:]
    raw = {"label": struct.pack("<I", 3) + b"red"}
    expected = packages.probabilities(np.full((1, 16, 16, 3), (200, 30, 30), np.uint8)).astype("<f4")
    for output in head["outputs"]:
        if output["name"] not in binary_names:
            assert "data" in output
            continue
        size = output["parameters"]["binary_data_size"]
        found, rest = rest[:size], rest[size:]
        if output["name"] == "label":
            assert found == raw["label"]
        else:
            np.testing.assert_allclose(np.frombuffer(found, "<f4"), expected[0], rtol=1e-4)
    assert rest == b""


def test_all_outputs_are_binary_when_none_is_named(http):
    response = http.post(INFER, json=image_input(RED) | {"parameters": {"binary_data_output": True}})
    assert response.raise_for_status().headers["content-type"] == "application/octet-stream"
    assert response.content.endswith(struct.pack("<I", 3) + b"red" + response.content[-13:-1] + b"\0")


@pytest.mark.parametrize("kind", ["application/octet-stream", "application/x-www-form-urlencoded", "text/x"])
def test_the_content_type_decides_nothing(http, kind):
    content = json.dumps(image_input(RED))
    assert http.post(INFER, content=content, headers={"Content-Type": kind}).status_code == 200


def test_the_request_id_comes_back_and_is_the_answers_where_it_has_none(http):
    answer = http.post(INFER, json=image_input(RED), headers={"X-Request-ID": "mine-1"})
    assert (answer.headers["x-request-id"], answer.json()["id"]) == ("mine-1", "mine-1")
    answer = http.post(INFER, json=image_input(RED) | {"id": "own"}, headers={"X-Request-ID": "mine-2"})
    assert (answer.headers["x-request-id"], answer.json()["id"]) == ("mine-2", "own")
    refused = http.post(INFER, json={}, headers={"X-Request-ID": "mine-3"})
    assert refused.headers["x-request-id"] == "mine-3"
    for odd in ("x" * 129, "a b", "ä".encode()):
        assert http.get("/v2", headers={"X-Request-ID": odd}).headers["x-request-id"] not in (odd, "")


def counts(http) -> dict[str, float]:
    lines = http.get("/metrics").text.splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}


@pytest.mark.parametrize(
    ("path", "content", "headers", "reason", "model"),
    [
        (INFER, b"{", {}, "request", "colour"),
        (INFER, b"x", {"Content-Encoding": "br"}, "request", "colour"),
        (INFER, gzip.compress(bytes(65 * 2**20), 1), {"Content-Encoding": "gzip"}, "too-large", "colour"),
        ("/v2/models/other/infer", b"{}", {}, "unknown-model", ""),
    ],
)
def test_what_no_model_sees_is_counted_with_the_model_that_was_asked(
    http, path, content, headers, reason, model
):
    version = "7" if model else ""
    error = f'bonafide_errors_total{{model="{model}",protocol="rest",reason="{reason}",version="{version}"}}'
    labels = f'model="{model}",outcome="refused",protocol="rest",version="{version}"'
    refused = f"bonafide_requests_total{{{labels}}}"
    before = counts(http)
    assert http.post(path, content=content, headers=headers).is_client_error
    after = counts(http)
    for name in (error, refused):
        assert after[name] == before.get(name, 0) + 1


def test_refusals_by_the_model_are_counted_with_it(http):
    labels = 'model="colour",protocol="rest",reason="truncated",version="7"'
    name = f"bonafide_errors_total{{{labels}}}"
    before = counts(http)
    http.post(INFER, json=image_input(packages.image((1, 2, 3), 64, "JPEG")[:-200]))
    assert counts(http)[name] == before.get(name, 0) + 1


SMALL = np.zeros((1, 16, 16, 3), np.uint8)
RAGGED = [[[[0, 0, 0]] * 16] * 15 + [[[0, 0]] * 16]]
GIF = b"GIF89a" + bytes(100)
BAD_JSON = {
    "no inputs": ({}, 400, "inputs: Field required"),
    "inputs empty": ({"inputs": []}, 400, "exactly one"),
    "inputs no list": ({"inputs": "image"}, 400, "inputs"),
    "body a list": ([1, 2], 400, "the body"),
    "two inputs": ({"inputs": image_input(RED)["inputs"] * 2}, 400, "exactly one"),
    "both inputs": (
        {"inputs": image_input(RED)["inputs"] + pixel_input(SMALL)["inputs"]},
        400,
        "exactly one",
    ),
    "unknown input": (image_input(RED, name="picture"), 400, "'picture' is unknown"),
    "unknown output": (image_input(RED) | {"outputs": [{"name": "logits"}]}, 400, "'logits' is unknown"),
    "output twice": (image_input(RED) | {"outputs": [{"name": "label"}] * 2}, 400, "once"),
    "output nameless": (image_input(RED) | {"outputs": [{}]}, 400, "outputs.0.name"),
    "image wrong dtype": (image_input(RED, datatype="FP32"), 400, "datatype must be BYTES"),
    "image odd dtype": (image_input(RED, datatype="NOPE"), 400, "datatype must be BYTES"),
    "dtype a number": (image_input(RED, datatype=3), 400, "datatype"),
    "image wrong rank": (image_input(RED, shape=[1, 1]), 400, "shape must be [N]"),
    "image wrong count": (image_input(RED, shape=[2]), 400, "shape says 2 images, the data has 1"),
    "image negative": (image_input(RED, shape=[-1]), 400, "shape must be [N]"),
    "image shape fraction": (image_input(RED, shape=[1.5]), 400, "shape.0"),
    "image shape text": (image_input(RED, shape="1"), 400, "shape"),
    "image shape huge": (image_input(RED, shape=[10**18]), 413, "at most 64"),
    "image none": (image_input(shape=[0]), 400, "at least one image"),
    "no data": ({"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES"}]}, 400, "either data or"),
    "data null": (image_input(RED, data=None), 400, "either data or"),
    "data no list": (image_input(RED, data="abc"), 400, "data"),
    "image a number": (image_input(RED, RED, data=[text(RED), 5]), 400, "image[1]: must be a base64 string"),
    "image a list": (image_input(RED, data=[[text(RED)]]), 400, "image[0]: must be a base64 string"),
    "bad base64": (image_input(RED, RED, data=[text(RED), "?!"]), 400, "image[1]: no valid base64"),
    "base64 no ascii": (image_input(RED, data=["ä"]), 400, "image[0]: no valid base64"),
    "data url": (image_input(RED, data=["data:image/png;base64," + text(RED)]), 400, "no valid base64"),
    "empty image": (image_input(RED, b""), 400, "image[1]: empty"),
    "no image": (image_input(RED, b"hello there"), 415, "image[1]: not-an-image"),
    "gif": (image_input(GIF), 415, "image[0]: format"),
    "truncated": (image_input(packages.image((1, 2, 3), 64, "JPEG")[:-200]), 400, "image[0]: truncated"),
    "too small": (image_input(packages.image((1, 2, 3), 4)), 400, "image[0]: too-small"),
    "too many images": (image_input(*[RED] * 65), 413, "at most 64"),
    "pixels wrong rank": (pixel_input(SMALL[0]), 400, "shape must be [N, H, W, 3]"),
    "pixels grey": (pixel_input(SMALL[..., :1]), 400, "shape must be [N, H, W, 3]"),
    "pixels tiny": (pixel_input(SMALL[:, :4]), 400, "sides of 8 or more"),
    "pixels count": (pixel_input(SMALL, shape=[2, 16, 16, 3]), 400, "needs 1536 values, the data has 768"),
    "pixels dtype": (pixel_input(SMALL, datatype="FP32"), 400, "datatype must be UINT8"),
    "pixels 300": (pixel_input(SMALL, data=[300] * 768), 400, "from 0 to 255"),
    "pixels -1": (pixel_input(SMALL, data=[-1] * 768), 400, "from 0 to 255"),
    "pixels huge": (pixel_input(SMALL, data=[2**70] * 768), 400, "pixels"),
    "pixels fraction": (pixel_input(SMALL, data=[0.5] * 768), 400, "whole numbers"),
    "pixels text": (pixel_input(SMALL, data=["1"] * 768), 400, "whole numbers"),
    "pixels bool": (pixel_input(SMALL, data=[True] * 768), 400, "whole numbers"),
    "pixels null": (pixel_input(SMALL, data=[None] * 768), 400, "whole numbers"),
    "pixels ragged": (pixel_input(SMALL, data=RAGGED), 400, "no regular array"),
    "id a number": (image_input(RED) | {"id": 5}, 400, "id"),
    "parameters a list": (image_input(RED) | {"parameters": []}, 400, "parameters"),
}


def check_refusal(http, response, status, reason):
    assert response.status_code == status, response.text
    assert set(response.json()) == {"error"}
    assert reason in response.json()["error"]
    assert len(response.content) < 5_000
    good = http.post(INFER, json=image_input(RED)).raise_for_status().json()
    assert outputs(good)["label"]["data"] == ["red"]


@pytest.mark.parametrize("case", BAD_JSON)
def test_bad_json_is_refused_with_its_reason(http, case):
    body, status, reason = BAD_JSON[case]
    check_refusal(http, http.post(INFER, json=body), status, reason)


PIXELS = {"name": "pixels", "shape": [1, 16, 16, 3], "datatype": "UINT8"}
BOMB = gzip.compress(bytes(65 * 2**20), 1)
BAD_BINARY = {
    "no JSON": (b"", {}, 400, "no valid JSON"),
    "a JPEG": (packages.image((1, 2, 3), 40, "JPEG"), {}, 400, "no valid JSON"),
    "NaN": (b'{"inputs": NaN}', {}, 400, "no valid JSON"),
    "deep": (b"[" * 100_000, {}, 400, "no valid JSON"),
    "length no number": (b"{}", {"Inference-Header-Content-Length": "x"}, 400, "no length"),
    "length endless": (
        b"{}",
        {"Inference-Header-Content-Length": "1" * 5000},
        400,
        "header-content-length: '111",
    ),
    "length negative": (b"{}", {"Inference-Header-Content-Length": "-1"}, 400, "no length"),
    "length too long": (b"{}", {"Inference-Header-Content-Length": "3"}, 400, "no length"),
    "tensor cut": (binary(IMAGE, ELEMENT)[0][:-1], binary(IMAGE, ELEMENT)[1], 400, "binary_data_size is"),
    "bytes left": (binary(IMAGE, ELEMENT)[0] + b"x", binary(IMAGE, ELEMENT)[1], 400, "belong to no input"),
    "element cut": (*binary(IMAGE, ELEMENT[:-1]), 400, "image[0]: the binary data ends 1 bytes too early"),
    "prefix cut": (
        *binary(IMAGE | {"shape": [2]}, ELEMENT + b"\0"),
        400,
        "image[1]: the binary data ends within",
    ),
    "element huge": (*binary(IMAGE, b"\xff" * 4), 400, "too early"),
    "count": (*binary(IMAGE, ELEMENT * 2), 400, "shape says 1 images, the data has more"),
    "pixels cut": (*binary(PIXELS, bytes(767)), 400, "needs 768 values, the data has 767"),
    "size negative": (*binary(IMAGE | {"parameters": {"binary_data_size": -1}}, b""), 400, "whole number"),
    "size text": (*binary(IMAGE | {"parameters": {"binary_data_size": "1"}}, b"x"), 400, "whole number"),
    "data and binary": (*binary(IMAGE | {"data": [text(RED)]}, ELEMENT), 400, "either data or"),
    "no gzip": (b"xyz", {"Content-Encoding": "gzip"}, 400, "the body is no gzip"),
    "no deflate": (b"xyz", {"Content-Encoding": "deflate"}, 400, "the body is no deflate"),
    "gzip cut": (gzip.compress(b"{}")[:-3], {"Content-Encoding": "gzip"}, 400, "it is cut off"),
    "gzip empty": (b"", {"Content-Encoding": "gzip"}, 400, "it is cut off"),
    "gzip and more": (gzip.compress(b"{}") + b"x", {"Content-Encoding": "gzip"}, 400, "1 bytes follow"),
    "gzip bomb": (BOMB, {"Content-Encoding": "gzip"}, 413, "larger than 67,108,864 bytes"),
    "brotli": (b"x", {"Content-Encoding": "br"}, 415, "content-encoding 'br' is not supported"),
    "gzip twice": (b"x", {"Content-Encoding": "gzip, gzip"}, 415, "is not supported"),
    "binary flag": (*binary(IMAGE, ELEMENT, parameters={"binary_data_output": 1}), 400, "binary_data_output"),
    "binary flag of one": (
        *binary(IMAGE, ELEMENT, outputs=[{"name": "label", "parameters": {"binary_data": "yes"}}]),
        400,
        "binary_data",
    ),
    "many values": (b"[" + b"1," * (2**21 - 1) + b"1]", {}, 400, "the body"),
    "too many values": (b"[" + b"1," * 2**21 + b"1]", {}, 413, "more than 2,097,152 values"),
    "long name": (*binary(IMAGE | {"name": "x" * 10**6}, ELEMENT), 400, "inputs: 'xxx"),
}


@pytest.mark.parametrize("case", BAD_BINARY)
def test_bad_bytes_are_refused_with_their_reason(http, case):
    body, headers, status, reason = BAD_BINARY[case]
    check_refusal(http, http.post(INFER, content=body, headers=headers), status, reason)


def test_a_body_above_the_limit_is_refused_with_and_without_its_length(http):
    body = bytes(64 * 2**20 + 1)
    check_refusal(http, http.post(INFER, content=body), 413, "larger than 67,108,864 bytes")
    chunks = (body[start : start + 2**20] for start in range(0, len(body), 2**20))
    check_refusal(http, http.post(INFER, content=chunks), 413, "larger than 67,108,864 bytes")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v2/models/other/infer", 404),
        ("GET", "/v2/models/other", 404),
        ("GET", "/v2/models/other/ready", 404),
        ("GET", INFER, 405),
        ("GET", "/nothing", 404),
        ("GET", "/v2/models/colour/versions/8", 404),
        ("GET", "/v2/models/colour/versions/8/ready", 404),
        ("POST", "/v2/models/colour/versions/8/infer", 404),
        ("POST", "/v2/repository/models/colour/load", 403),
        ("POST", "/v2/repository/models/colour/unload", 403),
        ("GET", "/v2/repository/index", 405),
        ("GET", "/v2/", 404),
        ("POST", "/v1/models/colour:predict", 404),
    ],
)
def test_unknown_paths_and_models_are_told(http, method, path, status):
    response = http.request(method, path, json=image_input(RED) if method == "POST" else None)
    assert response.status_code == status
    assert set(response.json()) == {"error"}

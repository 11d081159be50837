"""Whatever a client sends is either understood or refused as its own mistake, never a server error."""

import base64
import json
import os
import tracemalloc

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bonafide.serving.errors import RequestError
from bonafide.serving.v2 import question, wire
from bonafide.serving.v2.question import Question
from tests import packages

OUTPUTS = ("label", "probabilities", "uncertain", "heatmap")
NAMES = st.sampled_from(["image", "pixels", "label", "probabilities", "x", ""])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=9,
)
TENSORS = st.fixed_dictionaries(
    {
        "name": NAMES | SCALARS,
        "shape": st.lists(st.integers(-1, 9), max_size=4) | JSON,
        "datatype": st.sampled_from(["BYTES", "UINT8", "FP32"]) | SCALARS,
    },
    optional={
        "data": JSON | st.lists(st.integers(-1, 256), max_size=9) | st.lists(st.just("aGk="), max_size=3),
        "parameters": st.fixed_dictionaries({"binary_data_size": st.integers(0, 12) | SCALARS}) | JSON,
    },
)
BODIES = st.fixed_dictionaries(
    {"inputs": st.lists(TENSORS, max_size=2) | JSON},
    optional={"id": SCALARS, "outputs": st.lists(st.fixed_dictionaries({"name": NAMES})) | JSON},
)


def ask(body: bytes, length: str | None) -> Question | None:
    try:
        return question.read(wire.read(body, length, "colour", lambda _: None), packages.info(), OUTPUTS)
    except RequestError as error:
        assert 400 <= error.status < 500
        assert str(error)
        return None


@settings(max_examples=300, deadline=None)
@given(body=BODIES | JSON, rest=st.binary(max_size=16))
def test_any_json_and_binary_is_understood_or_refused(body, rest):
    head = json.dumps(body).encode()
    ask(head, None)
    ask(head + rest, str(len(head)))


@settings(max_examples=200, deadline=None)
@given(body=st.binary(max_size=64), length=st.none() | st.text(max_size=4))
def test_any_bytes_are_refused(body, length):
    assert ask(body, length) is None


@settings(max_examples=50, deadline=None)
@given(contents=st.lists(st.binary(max_size=40), min_size=1, max_size=5))
def test_binary_images_arrive_as_they_were_sent(contents):
    raw = b"".join(len(content).to_bytes(4, "little") + content for content in contents)
    tensor = {"name": "image", "shape": [len(contents)], "datatype": "BYTES"}
    head = json.dumps({"inputs": [tensor | {"parameters": {"binary_data_size": len(raw)}}]}).encode()
    assert ask(head + raw, str(len(head))).items == contents


@pytest.mark.parametrize("flat", [True, False])
def test_pixels_arrive_as_they_were_sent(flat):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 9, 3), dtype=np.uint8)
    data = (pixels.ravel() if flat else pixels).tolist()
    tensor = {"name": "pixels", "shape": [2, 8, 9, 3], "datatype": "UINT8", "data": data}
    asked = ask(json.dumps({"inputs": [tensor]}).encode(), None)
    np.testing.assert_array_equal(asked.items, pixels)
    assert asked.items.dtype == np.uint8
    assert asked.outputs == ("label", "probabilities", "uncertain")


def test_a_large_json_holds_what_was_sent():
    images = [os.urandom(2**20) for _ in range(40)]
    data = [base64.b64encode(image).decode() for image in images]
    tensor = {"name": "image", "shape": [40], "datatype": "BYTES", "data": data}
    assert list(ask(orjson.dumps({"inputs": [tensor]}), None).items) == images


PIXELS = {"name": "pixels", "datatype": "UINT8", "shape": [1, 8, 8, 3]}
WASTEFUL = {
    "one long text among many": {"inputs": [PIXELS | {"data": ["x" * 20_000] + [""] * 20_000}]},
    "a long text among lists": {"inputs": [PIXELS | {"data": [["x" * 20_000], *[[""]] * 20_000]}]},
    "outputs": {"inputs": [PIXELS | {"data": []}], "outputs": [{"name": "label"}] * 100_000},
    "inputs": {"inputs": [PIXELS | {"data": []}] * 20_000},
}


@pytest.mark.parametrize("case", WASTEFUL)
def test_a_small_body_takes_little_memory(case):
    body = orjson.dumps(WASTEFUL[case])
    tracemalloc.start()
    try:
        with pytest.raises(RequestError) as refusal:
            question.read(wire.read(body, None, "colour", lambda _: None), packages.info(), ("label",))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert refusal.value.status == 400
    assert peak < 40 * len(body) + 2**20


def test_lists_in_lists_are_counted():
    body = b'{"inputs": [], "x": ' + b",".join([b"[" * 1000 + b"]" * 1000] * 2200) + b"}"
    with pytest.raises(RequestError, match="more than 2,097,152 values"):
        wire.read(body, None, "colour", lambda _: None)

import base64
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kserve import InferRequest
from kserve.protocol.infer_type import RequestedOutput

from benchmarks.serving.dialects import BOUNDARY, DIALECTS, HEADER_LENGTH
from bonafide.serving.answer import Answer
from bonafide.serving.v2 import question, wire
from tests import packages, tables

JPEG = b"\xff\xd8\xff\xe0 not quite\r\n--a photograph\xff\xd9"
SHARES = np.array([0.25, 0.5, 0.25], np.float32)


@given(st.binary(min_size=1, max_size=200))
@pytest.mark.parametrize("dialect", ["v2 binary", "v2 base64"])
def test_bonafide_reads_the_file_back(dialect, jpeg):
    asked = DIALECTS[dialect].ask(jpeg)
    request = wire.read(asked.body, asked.headers.get(HEADER_LENGTH), "authenticity", lambda _: None)
    found = question.read(request, packages.info(), ("probabilities",))
    assert list(found.items) == [jpeg]
    assert found.outputs == ("probabilities",)


@pytest.mark.parametrize("binary", [True, False])
def test_a_v2_answer_is_read_in_both_forms(binary):
    wanted = [RequestedOutput("probabilities", {"binary_data": binary})]
    request = InferRequest("m", [], request_outputs=wanted)
    body, headers = wire.write(Answer("m", "1", ("a", "b", "c"), {"probabilities": SHARES[None]}), request)
    assert DIALECTS["v2 binary"].read(body, headers) == pytest.approx(SHARES)


def test_a_row_is_asked_about_by_its_columns():
    row = json.dumps(tables.ROW).encode()
    asked = wire.read(DIALECTS["v2 row"].ask(row).body, None, "shape", lambda _: None)
    found = question.read(asked, tables.info(), ("probabilities",))
    assert np.ravel(found.items) == pytest.approx([*tables.ROW.values()])
    assert found.outputs == ("probabilities",)
    assert DIALECTS["api row"].ask(row).body == row


def test_an_upload_is_a_form_with_the_file_in_it():
    asked = DIALECTS["upload"].ask(JPEG)
    head, content = asked.body.split(b"\r\n\r\n", 1)
    assert b'name="file"; filename="image.jpg"' in head
    assert content == JPEG + f"\r\n--{BOUNDARY}--\r\n".encode()
    assert BOUNDARY in asked.headers["content-type"]


@pytest.mark.parametrize(
    ("dialect", "path"),
    [
        ("v1", ("instances", 0, "image", "b64")),
        ("litserve", ("image_bytes",)),
        ("mlserver", ("inputs", 0, "data", 0)),
    ],
)
def test_json_dialects_hold_the_file_as_base64(dialect, path):
    content = json.loads(DIALECTS[dialect].ask(JPEG).body)
    for step in path:
        content = content[step]
    assert base64.b64decode(content) == JPEG


@pytest.mark.parametrize(
    ("dialect", "answer"),
    [
        ("upload", {"probabilities": [0.25, 0.5, 0.25]}),
        ("api", {"probabilities": {"real": 0.25, "ai-generated": 0.5, "deepfake": 0.25}}),
        ("v1", {"predictions": [[0.25, 0.5, 0.25]]}),
        ("raw", [0.25, 0.5, 0.25]),
    ],
)
def test_answers_of_others_are_read(dialect, answer):
    assert DIALECTS[dialect].read(json.dumps(answer).encode(), {}) == pytest.approx(SHARES)

"""A large message is refused before it is parsed if parsing would blow it up, and only then."""

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from bonafide.serving.errors import RequestError
from bonafide.serving.v2 import message

MANY = 2 * 2**20 + 1


def question(**contents) -> pb.ModelInferRequest:
    tensor = pb.ModelInferRequest.InferInputTensor(
        name="x", shape=[1], datatype="X", contents=pb.InferTensorContents(**contents)
    )
    return pb.ModelInferRequest(model_name="colour", inputs=[tensor] * 2)


GOOD = {
    "raw": pb.ModelInferRequest(raw_input_contents=[bytes(MANY)] * 3),
    "typed images": question(bytes_contents=[bytes(MANY // 2)] * 4),
    "pixels": question(uint_contents=np.full(MANY // 3, 200)),
    "a long id": pb.ModelInferRequest(id="x" * MANY),
    "floats": question(fp64_contents=[1.0] * (MANY // 8)),
}
BAD = {
    "numbers": question(uint_contents=np.zeros(MANY, int)),
    "images": question(bytes_contents=[b"x" * 300] * 8000),
    "tensors": pb.ModelInferRequest(inputs=[pb.ModelInferRequest.InferInputTensor(name="x" * 300)] * 8000),
    "raw tensors": pb.ModelInferRequest(raw_input_contents=[b"x" * 300] * 8000),
    "outputs": pb.ModelInferRequest(
        outputs=[pb.ModelInferRequest.InferRequestedOutputTensor(name="x" * 300)] * 8000
    ),
    "parameters": pb.ModelInferRequest(
        parameters={str(number): pb.InferParameter(string_param="x" * 300) for number in range(8000)}
    ),
}


@pytest.mark.parametrize("case", GOOD)
def test_large_tensors_pass(case):
    content = GOOD[case].SerializeToString()
    assert len(content) > message.TINY
    message.check(content)


def test_empty_things_do_not_however_small_they_are_together():
    content = b"\x32\x00" * 20_000  # outputs, each a length of zero
    assert len(content) < 64 * 1024
    with pytest.raises(RequestError, match="too many values"):
        message.check(content)


@pytest.mark.parametrize("case", BAD)
def test_many_small_things_do_not(case):
    content = BAD[case].SerializeToString()
    with pytest.raises(RequestError, match="too many values") as refusal:
        message.check(content)
    assert (refusal.value.status, refusal.value.reason) == (413, "too-large")


def test_numbers_that_are_not_packed_do_not():
    numbers = b"\x20\x07" * MANY
    contents = b"\x2a" + varint(len(numbers)) + numbers
    content = b"\x2a" + varint(len(contents)) + contents
    assert len(pb.ModelInferRequest.FromString(content).inputs[0].contents.uint_contents) == MANY
    with pytest.raises(RequestError, match="too many values"):
        message.check(content)


def varint(value: int) -> bytes:
    parts = []
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


@settings(max_examples=100, deadline=None)
@given(start=st.binary(max_size=40))
def test_any_bytes_are_refused_or_few_fields(start):
    content = start + bytes(MANY)
    try:
        message.check(content)
        parsed = pb.ModelInferRequest.FromString(content)
    except (RequestError, LookupError, DecodeError):
        return
    assert sum(map(len, (parsed.inputs, parsed.outputs, parsed.raw_input_contents, parsed.parameters))) < 5000

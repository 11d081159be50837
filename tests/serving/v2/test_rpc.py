"""The served model over gRPC, raw stubs included."""

import asyncio
import struct

import grpc
import numpy as np
import pytest
from kserve import InferenceGRPCClient, InferInput, InferRequest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc

from tests import packages

RED = packages.image((200, 30, 30), 40, "JPEG")


@pytest.fixture
def stub(server):
    with grpc.insecure_channel(server.grpc) as channel:
        yield grpc_predict_v2_pb2_grpc.GRPCInferenceServiceStub(channel)


def question(name="image", shape=(1,), datatype="BYTES", **fields) -> pb.ModelInferRequest:
    contents = fields.pop("contents", None)
    tensor = pb.ModelInferRequest.InferInputTensor(
        name=name, shape=shape, datatype=datatype, contents=contents
    )
    return pb.ModelInferRequest(**({"model_name": "colour", "inputs": [tensor]} | fields))


def element(content: bytes) -> bytes:
    return struct.pack("<I", len(content)) + content


def values(answer: pb.ModelInferResponse) -> dict[str, bytes]:
    return {tensor.name: raw for tensor, raw in zip(answer.outputs, answer.raw_output_contents, strict=True)}


@pytest.mark.parametrize(
    "request_",
    [
        question(raw_input_contents=[element(RED)]),
        question(contents=pb.InferTensorContents(bytes_contents=[RED])),
    ],
)
def test_raw_and_typed_images_are_answered(stub, request_):
    answer = stub.ModelInfer(request_)
    assert values(answer)["label"] == element(b"red")
    found = np.frombuffer(values(answer)["probabilities"], "<f4")
    expected = packages.probabilities(np.full((1, 16, 16, 3), (200, 30, 30), np.uint8))[0]
    np.testing.assert_allclose(found, expected, atol=0.01)
    assert answer.parameters["model_version"].string_param == "7"
    assert answer.model_version == "7"
    assert answer.id


def test_raw_and_typed_pixels_are_answered_alike(stub):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    shape = pixels.shape
    raw = question("pixels", shape, "UINT8", raw_input_contents=[pixels.tobytes()])
    contents = pb.InferTensorContents(uint_contents=pixels.ravel().tolist())
    typed = question("pixels", shape, "UINT8", contents=contents)
    for request in (raw, typed):
        found = np.frombuffer(values(stub.ModelInfer(request))["probabilities"], "<f4").reshape(2, 3)
        np.testing.assert_allclose(found, packages.probabilities(pixels), rtol=1e-5)


def test_outputs_on_request(stub):
    wanted = [pb.ModelInferRequest.InferRequestedOutputTensor(name=name) for name in ("heatmap", "label")]
    answer = stub.ModelInfer(question(raw_input_contents=[element(RED)], outputs=wanted))
    assert [(output.name, list(output.shape)) for output in answer.outputs] == [
        ("heatmap", [1, 4, 4]),
        ("label", [1]),
    ]


def test_metadata_and_health(stub):
    assert stub.ServerLive(pb.ServerLiveRequest()).live
    assert stub.ServerReady(pb.ServerReadyRequest()).ready
    assert stub.ModelReady(pb.ModelReadyRequest(name="colour")).ready
    metadata = stub.ModelMetadata(pb.ModelMetadataRequest(name="colour"))
    assert [(tensor.name, tensor.datatype) for tensor in metadata.inputs] == [
        ("image", "BYTES"),
        ("pixels", "UINT8"),
    ]
    assert [list(tensor.shape) for tensor in metadata.outputs] == [[-1], [-1, 3], [-1, 3], [-1, 4, 4]]


BAD = {
    "nothing": (question(), "shape says 1 images, the data has 0"),
    "no inputs": (question(inputs=[]), "exactly one"),
    "unknown input": (question(name="x"), "'x' is unknown"),
    "wrong dtype": (question(datatype="FP32"), "datatype must be BYTES"),
    "odd dtype": (question(datatype="NOPE"), "invalid content type"),
    "wrong shape": (question(shape=(1, 1)), "shape must be [N]"),
    "negative": (question(shape=(-1,)), "shape must be [N]"),
    "no image": (question(raw_input_contents=[element(b"hello")]), "image[0]: not-an-image"),
    "truncated": (question(raw_input_contents=[element(RED[:300])]), "image[0]: truncated"),
    "cut": (question(raw_input_contents=[element(RED)[:-1]]), "ends 1 bytes too early"),
    "two raw": (question(raw_input_contents=[b"", b""]), "does not match"),
    "raw and typed": (
        question(contents=pb.InferTensorContents(bytes_contents=[RED]), raw_input_contents=[element(RED)]),
        "must not be specified",
    ),
    "pixels 300": (
        question("pixels", (1, 8, 8, 3), "UINT8", contents=pb.InferTensorContents(uint_contents=[300] * 192)),
        "from 0 to 255",
    ),
    "unknown output": (
        question(
            raw_input_contents=[element(RED)],
            outputs=[pb.ModelInferRequest.InferRequestedOutputTensor(name="x")],
        ),
        "'x' is unknown",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_requests_are_invalid_arguments(stub, case):
    request, reason = BAD[case]
    with pytest.raises(grpc.RpcError) as refusal:
        stub.ModelInfer(request)
    assert refusal.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert reason in refusal.value.details()
    assert stub.ModelInfer(question(raw_input_contents=[element(RED)])).outputs


def test_an_unknown_model_is_not_found(stub):
    with pytest.raises(grpc.RpcError) as refusal:
        stub.ModelInfer(question(model_name="other", raw_input_contents=[element(RED)]))
    assert refusal.value.code() == grpc.StatusCode.NOT_FOUND


def test_a_message_above_the_limit_is_refused(stub):
    with pytest.raises(grpc.RpcError) as refusal:
        stub.ModelInfer(question(raw_input_contents=[bytes(64 * 2**20 + 1)]))
    assert refusal.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("method", ["RepositoryModelLoad", "RepositoryModelUnload"])
def test_no_client_can_take_the_model_away(stub, method):
    with pytest.raises(grpc.RpcError) as refusal:
        getattr(stub, method)(getattr(pb, f"{method}Request")(model_name="colour"))
    assert refusal.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert stub.ModelReady(pb.ModelReadyRequest(name="colour")).ready


def test_the_kserve_client_is_answered(server):
    async def ask():
        client = InferenceGRPCClient(server.grpc)
        tensor = InferInput("image", [1], "BYTES")
        tensor.set_data_from_numpy(np.array([RED], dtype=object), binary_data=True)
        answer = await client.infer(InferRequest("colour", [tensor], request_id="mine"))
        return await client.is_model_ready("colour"), answer

    ready, answer = asyncio.run(ask())
    assert ready
    assert answer.id == "mine"
    assert answer.get_output_by_name("label").as_numpy().tolist() == [b"red"]

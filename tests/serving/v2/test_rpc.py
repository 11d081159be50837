"""The served model over gRPC, raw stubs included."""

import asyncio
import struct

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from kserve import InferenceGRPCClient, InferInput, InferRequest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc

from bonafide.serving.edge.limits import Limits
from bonafide.telemetry import metrics
from tests import packages
from tests.patience import until_async
from tests.serving.live import calling

METHOD = "/inference.GRPCInferenceService/ModelInfer"
OWN_CONNECTION = ("grpc.use_local_subchannel_pool", 1)
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


def slow_question() -> pb.ModelInferRequest:
    return question(model_name="slow", raw_input_contents=[element(RED)])


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
        np.testing.assert_allclose(found, packages.probabilities(pixels), rtol=1e-4)


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
    assert [list(tensor.shape) for tensor in metadata.outputs] == [[-1], [-1, 3], [-1], [-1, 3], [-1, 4, 4]]


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
    "too many numbers": (
        question(
            "pixels",
            (1, 1024, 1024, 3),
            "UINT8",
            contents=pb.InferTensorContents(uint_contents=[0] * 5_000_000),
        ),
        "too many values",
    ),
    "long name": (question(name="x" * 10**6), "inputs: 'xxx"),
    "lower case": (question(datatype="bytes", raw_input_contents=[element(RED)]), "invalid content type"),
    "parameter empty": (
        question(parameters={"x": pb.InferParameter()}),
        "shape says 1 images, the data has 0",
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
    assert refusal.value.code() == grpc.StatusCode.PERMISSION_DENIED
    assert stub.ModelReady(pb.ModelReadyRequest(name="colour")).ready


def test_a_version_is_asked_for_by_its_field(stub):
    assert stub.ModelInfer(question(raw_input_contents=[element(RED)], model_version="7")).outputs
    assert stub.ModelReady(pb.ModelReadyRequest(name="colour", version="7")).ready
    assert list(stub.ModelMetadata(pb.ModelMetadataRequest(name="colour", version="7")).versions) == ["7"]
    calls = [
        (stub.ModelInfer, question(raw_input_contents=[element(RED)], model_version="8")),
        (stub.ModelReady, pb.ModelReadyRequest(name="colour", version="8")),
        (stub.ModelMetadata, pb.ModelMetadataRequest(name="colour", version="8")),
    ]
    for call, request in calls:
        with pytest.raises(grpc.RpcError) as refusal:
            call(request)
        assert refusal.value.code() == grpc.StatusCode.NOT_FOUND
        assert "it has 7" in refusal.value.details()


@pytest.mark.parametrize("coding", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_compressed_messages_are_answered(stub, coding):
    request = question(
        raw_input_contents=[element(RED)], parameters={"x": pb.InferParameter(string_param="x" * 9999)}
    )
    assert values(stub.ModelInfer(request, compression=coding))["label"] == element(b"red")


def test_a_compression_bomb_is_refused(stub):
    request = question(raw_input_contents=[bytes(65 * 2**20)])
    with pytest.raises(grpc.RpcError) as refusal:
        stub.ModelInfer(request, compression=grpc.Compression.Gzip)
    assert refusal.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("content", [b"\xff", b"\x2a\xff\xff\xff\xff\x0f", bytes(9), b"\x0a\x02\xff\xfe"])
@pytest.mark.parametrize("method", ["ModelInfer", "ModelReady", "ModelMetadata", "RepositoryModelLoad"])
def test_what_is_no_message_is_an_invalid_argument(server, method, content):
    with grpc.insecure_channel(server.grpc) as channel:
        call = channel.unary_unary(f"/inference.GRPCInferenceService/{method}")
        with pytest.raises(grpc.RpcError) as refusal:
            call(content)
    assert refusal.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "no valid protocol buffer" in refusal.value.details()


def test_an_unknown_method_is_unimplemented(server):
    with grpc.insecure_channel(server.grpc) as channel, pytest.raises(grpc.RpcError) as refusal:
        channel.unary_unary("/inference.GRPCInferenceService/Nothing")(b"")
    assert refusal.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_the_request_id_comes_back_and_is_the_answers_where_it_has_none(stub):
    request = question(raw_input_contents=[element(RED)])
    answer, call = stub.ModelInfer.with_call(request, metadata=[("x-request-id", "mine-1")])
    assert (answer.id, dict(call.trailing_metadata())["x-request-id"]) == ("mine-1", "mine-1")
    with pytest.raises(grpc.RpcError) as refusal:
        stub.ModelInfer(question(name="x"), metadata=[("x-request-id", "mine-2")])
    assert dict(refusal.value.trailing_metadata())["x-request-id"] == "mine-2"
    _, call = stub.ModelInfer.with_call(request)
    assert dict(call.trailing_metadata())["x-request-id"]


def test_health_is_of_the_server_and_of_each_model(server):
    with grpc.insecure_channel(server.grpc) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for service in ("", "inference.GRPCInferenceService", "colour"):
            found = health.Check(health_pb2.HealthCheckRequest(service=service))
            assert found.status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.RpcError) as refusal:
            health.Check(health_pb2.HealthCheckRequest(service="other"))
    assert refusal.value.code() == grpc.StatusCode.NOT_FOUND


def test_health_follows_readiness(models):
    async def follow():
        async with asyncio.timeout(20), calling(models) as (server, channel):
            health = health_pb2_grpc.HealthStub(channel)
            follower = asyncio.create_task(server.health.follow())
            watch = health.Watch(health_pb2.HealthCheckRequest(service="colour"))
            found = [(await watch.read()).status]
            models.find("colour").ready = False
            found.append((await watch.read()).status)
            found.append((await health.Check(health_pb2.HealthCheckRequest())).status)
            models.find("colour").ready = True
            found.append((await health.Check(health_pb2.HealthCheckRequest())).status)
            models.draining = True
            found.append((await health.Check(health_pb2.HealthCheckRequest())).status)
            follower.cancel()
            return found

    serving, not_serving = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
    assert asyncio.run(follow()) == [serving, not_serving, not_serving, serving, not_serving]


def test_draining_finishes_what_has_begun_and_tells_those_that_watch(models, slow):
    async def drain():
        async with asyncio.timeout(20), calling(models) as (server, channel):
            watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
            statuses = [(await watch.read()).status]
            stub = grpc_predict_v2_pb2_grpc.GRPCInferenceServiceStub(channel)
            pending = asyncio.create_task(stub.ModelInfer(slow_question()).code())
            await until_async(lambda: slow.begun)
            draining = asyncio.create_task(server.drain(15))
            statuses.append((await watch.read()).status)
            with pytest.raises(grpc.aio.AioRpcError) as refusal:
                await stub.ModelInfer(question(raw_input_contents=[element(RED)]))
            assert not draining.done()
            slow.go.set()
            return statuses, refusal.value.code(), await pending, await draining

    statuses, refused, code, _ = asyncio.run(drain())
    assert statuses == [health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING]
    assert refused == grpc.StatusCode.UNAVAILABLE
    assert code == grpc.StatusCode.OK


@pytest.mark.parametrize("how", ["deadline", "cancel"])
def test_a_client_that_leaves_gives_up_its_inference(models, slow, how):
    async def ask():
        async with asyncio.timeout(20), calling(models) as (_, channel):
            stub = grpc_predict_v2_pb2_grpc.GRPCInferenceServiceStub(channel)
            call = stub.ModelInfer(
                slow_question(),
                timeout=0.3 if how == "deadline" else None,
            )
            await until_async(lambda: slow.begun)
            if how == "cancel":
                call.cancel()
            await until_async(lambda: slow.cancelled)
            return await call.code()

    expected = grpc.StatusCode.DEADLINE_EXCEEDED if how == "deadline" else grpc.StatusCode.CANCELLED
    assert asyncio.run(ask()) == expected


def test_too_much_at_once_is_unavailable_and_says_when_to_come_back(models):
    async def ask():
        async with asyncio.timeout(20), calling(models, Limits(held=100)) as (_, channel):
            stub = grpc_predict_v2_pb2_grpc.GRPCInferenceServiceStub(channel)
            with pytest.raises(grpc.aio.AioRpcError) as refusal:
                await stub.ModelInfer(question(raw_input_contents=[element(RED)]))
            return refusal.value

    counted = metrics.ERRORS.labels("colour", "", "grpc", "memory")._value
    before = counted.get()
    refusal = asyncio.run(ask())
    assert counted.get() == before + 1
    assert refusal.code() == grpc.StatusCode.UNAVAILABLE
    trailers = dict(refusal.trailing_metadata())
    assert trailers["retry-after"] == "1"
    assert trailers["x-request-id"]


def test_calls_beyond_the_limit_are_turned_away(models, slow):
    async def ask():
        async with asyncio.timeout(20), calling(models, Limits(rpcs=2)) as (_, channel):
            stub = grpc_predict_v2_pb2_grpc.GRPCInferenceServiceStub(channel)
            calls = [stub.ModelInfer(slow_question()) for _ in range(2)]
            await until_async(lambda: slow.begun == 2)
            code = await stub.ModelInfer(slow_question()).code()
            for call in calls:
                call.cancel()
            return code

    assert asyncio.run(ask()) == grpc.StatusCode.UNAVAILABLE


async def silent(channel) -> grpc.aio.StreamUnaryCall:
    """A call that has begun and whose message never comes."""
    call = channel.stream_unary(METHOD)()
    await call.wait_for_connection()
    return call


def test_calls_without_a_message_hold_up_others_for_a_moment_and_end(models):
    async def ask():
        async with (
            asyncio.timeout(20),
            calling(models, Limits(arriving=4, message_seconds=15, fair_seconds=0.5)) as (_, channel),
        ):
            calls = [await silent(channel) for _ in range(8)]
            await asyncio.sleep(0.2)
            stub = grpc_predict_v2_pb2_grpc.GRPCInferenceServiceStub(channel)
            live = await stub.ServerLive(pb.ServerLiveRequest(), timeout=1)
            answer = await stub.ModelInfer(question(raw_input_contents=[element(RED)]), timeout=8)
            check = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
            for call in calls[4:]:
                call.cancel()
            return live, answer, check, [await call.code() for call in calls[:4]]

    live, answer, check, codes = asyncio.run(ask())
    assert live.live
    assert values(answer)["label"] == element(b"red")
    assert check.status == health_pb2.HealthCheckResponse.SERVING
    assert set(codes) == {grpc.StatusCode.DEADLINE_EXCEEDED}


def test_a_call_that_ends_without_a_message_is_told(server):
    with grpc.insecure_channel(server.grpc) as channel, pytest.raises(grpc.RpcError) as refusal:
        channel.stream_unary(METHOD)(iter(()))
    assert refusal.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "no message" in refusal.value.details()


def test_connections_beyond_the_limit_are_closed_and_there_is_room_again(models):
    async def ready(port):
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=[OWN_CONNECTION]) as channel:
            stub = grpc_predict_v2_pb2_grpc.GRPCInferenceServiceStub(channel)
            return (await stub.ServerReady(pb.ServerReadyRequest(), timeout=5)).ready

    async def ask():
        async with asyncio.timeout(30), calling(models, Limits(connections=3)) as (server, _):
            connections = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(6)]
            await asyncio.sleep(0.2)
            with pytest.raises(grpc.aio.AioRpcError) as refusal:
                await ready(server.port)
            for _, writer in connections:
                writer.close()
            await asyncio.sleep(0.2)
            return refusal.value.code(), await ready(server.port)

    code, answered = asyncio.run(ask())
    assert code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
    assert answered


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

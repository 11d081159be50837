"""The how-tos' loops wait as long as a busy server asks for, and give up on what they cannot mend."""

import asyncio
import time

import grpc
import httpx
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc

from tests.docs.pages import program


@pytest.mark.parametrize("failures", [1, 4])
def test_the_httpx_example_waits_and_asks_again(monkeypatch, failures):
    slept, asked = [], []
    monkeypatch.setattr(time, "sleep", slept.append)
    head = b'{"outputs": [{"name": "probabilities", "shape": [1, 1], "parameters": {"binary_data_size": 4}}],'
    head += b'"parameters": {"labels": "[\\"red\\"]"}}'

    def answer(request):
        asked.append(request.content)
        if len(asked) <= failures:
            return httpx.Response(503, headers={"Retry-After": "3"}, json={"error": "busy"})
        headers = {"Inference-Header-Content-Length": str(len(head))}
        return httpx.Response(200, headers=headers, content=head + b"\0\0\x80\x3f")

    with httpx.Client(base_url="http://server", transport=httpx.MockTransport(answer)) as client:
        arrays, labels = program("ask-from-python", "ask_httpx.py")["ask"](client, "colour", [b"file"])
    assert (slept, len(set(asked))) == ([3] * failures, 1)
    assert (arrays["probabilities"].tolist(), labels) == ([[1.0]], ["red"])


@pytest.mark.parametrize(("status", "attempts"), [(503, 5), (400, 1)])
def test_the_httpx_example_gives_up_and_says_why(monkeypatch, status, attempts):
    monkeypatch.setattr(time, "sleep", lambda _: None)
    asked = []

    def answer(request):
        asked.append(request)
        return httpx.Response(status, json={"error": "no"})

    ask = program("ask-from-python", "ask_httpx.py")["ask"]
    client = httpx.Client(base_url="http://server", transport=httpx.MockTransport(answer))
    with client, pytest.raises(RuntimeError, match=f"{status}: no"):
        ask(client, "colour", [b"file"])
    assert len(asked) == attempts


class Busy(grpc_predict_v2_pb2_grpc.GRPCInferenceServiceServicer):
    """Refuses so many calls with a code, then answers."""

    def __init__(self, failures, code=grpc.StatusCode.UNAVAILABLE):
        self.failures, self.code, self.calls = failures, code, 0

    async def ModelInfer(self, request, context):  # noqa: N802
        self.calls += 1
        if self.calls <= self.failures:
            await context.abort(self.code, "no", (("retry-after", "3"),))
        return pb.ModelInferResponse(model_name=request.model_name)


def ask_stub(busy: Busy):
    """What the page's loop gets from that server."""
    example = program("ask-by-grpc", "ask_stub.py")

    async def ask():
        server = grpc.aio.server()
        grpc_predict_v2_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(busy, server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            with grpc.insecure_channel(f"127.0.0.1:{port}", options=example["OPTIONS"]) as channel:
                stub = example["GRPCInferenceServiceStub"](channel)
                return await asyncio.to_thread(example["ask"], stub, example["question"]("colour", [b""]))
        finally:
            await server.stop(None)

    return asyncio.run(ask())


def test_the_grpc_example_waits_and_asks_again(monkeypatch):
    slept = []
    monkeypatch.setattr(time, "sleep", slept.append)
    assert ask_stub(Busy(2)).model_name == "colour"
    assert slept == [3, 3]


@pytest.mark.parametrize(
    ("code", "calls"), [(grpc.StatusCode.UNAVAILABLE, 5), (grpc.StatusCode.INVALID_ARGUMENT, 1)]
)
def test_the_grpc_example_gives_up(monkeypatch, code, calls):
    monkeypatch.setattr(time, "sleep", lambda _: None)
    busy = Busy(9, code)
    with pytest.raises(grpc.RpcError, match="no"):
        ask_stub(busy)
    assert busy.calls == calls

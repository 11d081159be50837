"""Sending questions: one asynchronous client for HTTP, one for gRPC, with the same two methods."""

import struct
from collections.abc import Sequence
from typing import Any, Protocol

import aiohttp
import grpc
import numpy as np
from kserve.protocol.grpc.grpc_predict_v2_pb2 import ModelInferRequest
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

from benchmarks.serving.dialects import DIALECTS, GRPC, Probabilities

TIMEOUT_SECONDS = 10.0


class Client(Protocol):
    """Asks about one of the files; any exception is a failed request."""

    async def ask(self, file: int) -> Probabilities:
        """The probabilities of a file, float32 [K]."""

    async def close(self) -> None:
        """Close the connections."""


class Http:
    """As many kept-alive connections as there are requests at once."""

    def __init__(self, url: str, dialect: str, files: Sequence[bytes]) -> None:
        self._url, self._dialect = url, DIALECTS[dialect]
        self._questions = [self._dialect.ask(file) for file in files]
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(TIMEOUT_SECONDS)
        )

    async def ask(self, file: int) -> Probabilities:  # noqa: D102
        question = self._questions[file]
        async with self._session.post(self._url, data=question.body, headers=question.headers) as answer:
            body = await answer.read()
            if answer.status != 200:
                raise RuntimeError(f"status {answer.status}")
            return self._dialect.read(body, {name.lower(): value for name, value in answer.headers.items()})

    async def close(self) -> None:  # noqa: D102
        await self._session.close()


class Grpc:
    """Several channels, taken in turn, each with a connection of its own."""

    def __init__(self, address: str, model: str, files: Sequence[bytes], channels: int) -> None:
        options = [("grpc.use_local_subchannel_pool", 1)]
        self._channels = [grpc.aio.insecure_channel(address, options) for _ in range(channels)]
        self._stubs: list[Any] = [GRPCInferenceServiceStub(channel) for channel in self._channels]
        self._questions = [_question(model, file) for file in files]
        self._sent = 0

    async def ask(self, file: int) -> Probabilities:  # noqa: D102
        self._sent += 1
        stub = self._stubs[self._sent % len(self._stubs)]
        answer = await stub.ModelInfer(self._questions[file], timeout=TIMEOUT_SECONDS)
        return np.frombuffer(answer.raw_output_contents[0], np.float32)

    async def close(self) -> None:  # noqa: D102
        for channel in self._channels:
            await channel.close()


def connect(url: str, dialect: str, files: Sequence[bytes], connections: int) -> Client:
    """A client; for gRPC ``url`` is ``host:port/model``."""
    if dialect == GRPC:
        address, model = url.rsplit("/", 1)
        return Grpc(address, model, files, connections)
    return Http(url, dialect, files)


def _question(model: str, jpeg: bytes) -> ModelInferRequest:
    tensor = ModelInferRequest.InferInputTensor(name="image", datatype="BYTES", shape=[1])
    wanted = ModelInferRequest.InferRequestedOutputTensor(name="probabilities")
    raw = struct.pack("<I", len(jpeg)) + jpeg
    return ModelInferRequest(model_name=model, inputs=[tensor], outputs=[wanted], raw_input_contents=[raw])

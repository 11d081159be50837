"""The gRPC side of the Open Inference Protocol v2, by KServe's protocol buffers.

KServe's servicer passes on no version, cannot load or unload, and leaves errors INTERNAL or UNKNOWN:
https://github.com/kserve/kserve/blob/v0.21.0/python/kserve/kserve/protocol/grpc/servicer.py
"""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import grpc  # type: ignore[import-untyped]
from google.protobuf.message import DecodeError
from kserve import InferRequest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from bonafide.errors import BonafideError
from bonafide.serving.answer import Answer
from bonafide.serving.edge.body import Budget, Take
from bonafide.serving.edge.ids import ID_HEADER, identify
from bonafide.serving.edge.limits import Limits
from bonafide.serving.edge.refused import counter
from bonafide.serving.errors import Overloaded, RequestError
from bonafide.serving.models.versions import RETRY_SECONDS, Models
from bonafide.serving.v2 import message, question, tensors
from bonafide.serving.v2.failures import LONGEST_MESSAGE
from bonafide.serving.v2.health import SERVICE, Health
from bonafide.serving.v2.turns import Turns
from bonafide.telemetry.logs import protocol, request_id

LOOKAHEAD = 64 * 1024
POLL_SECONDS = 0.05
QUESTIONS = 2  # of all methods but inference, whose messages are a few bytes
QUESTION_SECONDS = 0.5
LAST_SECONDS = 1  # for answers on their way
CODES = {
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    408: grpc.StatusCode.DEADLINE_EXCEEDED,
    503: grpc.StatusCode.UNAVAILABLE,
}

logger = logging.getLogger(__name__)


class Service:
    """The methods of the protocol, each from a message's bytes to a message.

    They are registered as if a client sent several messages, which looks the same on the wire: so a method
    begins with the call, bounds the time until its message is there, and gRPC keeps no second copy of it.
    """

    def __init__(self, models: Models, limits: Limits, budget: Budget) -> None:
        self.running = 0
        self.count = counter("grpc", lambda: models.names)
        self._models = models
        self._limits = limits
        self._budget = budget
        self._inferences = Turns(limits.arriving, limits.message_seconds, limits.fair_seconds)
        self._questions = Turns(QUESTIONS, limits.fair_seconds, QUESTION_SECONDS)

    def handler(self) -> Any:
        """For a server."""
        names = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods_by_name
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                name: grpc.stream_unary_rpc_method_handler(
                    self._answering(
                        getattr(self, name), self._inferences if name == "ModelInfer" else self._questions
                    ),
                    response_serializer=lambda answer: answer.SerializeToString(),
                )
                for name in names
            },
        )

    async def ServerLive(self, _: bytes) -> Any:  # noqa: N802
        """Always."""
        return pb.ServerLiveResponse(live=True)

    async def ServerReady(self, _: bytes) -> Any:  # noqa: N802
        """Whether every model answers."""
        return pb.ServerReadyResponse(ready=self._models.ready)

    async def ServerMetadata(self, _: bytes) -> Any:  # noqa: N802
        """Name, version, extensions."""
        return pb.ServerMetadataResponse(**tensors.server())

    async def ModelReady(self, content: bytes) -> Any:  # noqa: N802
        """Of the version that is asked for, or of the default."""
        asked = pb.ModelReadyRequest.FromString(content)
        ready = self._models.get(asked.name, asked.version).ready
        return pb.ModelReadyResponse(ready=ready and not self._models.draining)

    async def ModelMetadata(self, content: bytes) -> Any:  # noqa: N802
        """With the versions that are loaded."""
        asked = pb.ModelMetadataRequest.FromString(content)
        predictor = self._models.get(asked.name, asked.version)
        return pb.ModelMetadataResponse(**tensors.metadata(predictor, self._models))

    async def RepositoryModelLoad(self, content: bytes) -> Any:  # noqa: N802
        """Refused unless the server allows it."""
        name = pb.RepositoryModelLoadRequest.FromString(content).model_name
        await self._models.load(name)
        return pb.RepositoryModelLoadResponse(model_name=name, isLoaded=True)

    async def RepositoryModelUnload(self, content: bytes) -> Any:  # noqa: N802
        """Refused unless the server allows it."""
        name = pb.RepositoryModelUnloadRequest.FromString(content).model_name
        await self._models.unload(name)
        return pb.RepositoryModelUnloadResponse(model_name=name, isUnloaded=True)

    async def ModelInfer(self, content: bytes) -> Any:  # noqa: N802
        """gRPC cancels it when the client leaves or its deadline passes."""
        with self._slot(), self._budget.share() as take:
            asked = self._read(content, take)
            del content
            asked.id = asked.id or request_id.get()
            with self._models.asked(asked.model_name, asked.model_version) as predictor:
                items, outputs = question.read(asked, predictor.info, predictor.shapes)
                answer = await predictor.answer(items, outputs)
        return _response(answer, asked.id)

    def _answering(self, method: Any, turns: Turns) -> Any:
        """The method with its message awaited, its request's id, and its errors named."""

        async def answering(_: Any, context: Any) -> Any:
            protocol.set("grpc")
            given = dict(context.invocation_metadata() or ()).get(ID_HEADER)
            told = (ID_HEADER, identify(given))
            context.set_trailing_metadata((told,))
            try:
                return await method(await self._message(context, turns))
            except RequestError as error:
                code = CODES.get(error.status, grpc.StatusCode.INVALID_ARGUMENT)
                _fail(context, code, str(error))
            except DecodeError:
                _fail(context, grpc.StatusCode.INVALID_ARGUMENT, "the message is no valid protocol buffer")
            except Overloaded as error:
                context.set_trailing_metadata((told, ("retry-after", str(error.retry_after))))
                _fail(context, grpc.StatusCode.UNAVAILABLE, str(error))
            except Exception:
                logger.exception("a call failed")
                _fail(context, grpc.StatusCode.INTERNAL, "internal error; the server's log has the cause")

        return answering

    async def _message(self, context: Any, turns: Turns) -> bytes:
        """The call's one message. A few are under way at once, as gRPC collects them outside of the budget.

        Raises:
            RequestError: 408, it does not come in time; 400, there is none.
        """
        try:
            async with turns.turn():
                content = await context.read()
        except TimeoutError:
            self.count("refused", "timeout")
            raise RequestError("the message did not come in time", 408, "timeout") from None
        if not isinstance(content, bytes):
            raise RequestError("the call has no message")
        return content

    def _read(self, content: bytes, take: Take) -> InferRequest:
        try:
            take(len(content))
            return message.read(content)
        except RequestError as error:
            self.count("refused", error.reason)
            raise
        except Overloaded as error:
            self.count("overloaded", error.reason)
            raise

    @contextmanager
    def _slot(self) -> Iterator[None]:
        if self._models.draining:
            self.count("overloaded", "draining")
            raise Overloaded("the server stops; ask another", RETRY_SECONDS, "draining")
        if self.running >= self._limits.rpcs:
            self.count("overloaded", "connections")
            raise Overloaded("too many calls are running; try again", RETRY_SECONDS, "connections")
        self.running += 1
        try:
            yield
        finally:
            self.running -= 1


class Server:
    """The gRPC server of the protocol and of ``grpc.health.v1``; answers once started.

    Raises:
        BonafideError: the port is taken or the host is not one of this machine.
    """

    def __init__(self, models: Models, limits: Limits, budget: Budget, host: str, port: int) -> None:
        self._server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", limits.body),
                ("grpc.max_send_message_length", limits.body),
                ("grpc.max_allowed_incoming_connections", limits.connections),
                ("grpc.max_concurrent_streams", 2 * limits.rpcs),
                ("grpc.so_reuseport", 0),
                # No bytes are let in ahead of a call's turn but these, however fast the client is.
                ("grpc.http2.lookahead_bytes", LOOKAHEAD),
                ("grpc.http2.bdp_probe", 0),
            ],
        )
        self._models = models
        self.health = Health(models)
        self.health.add_to(self._server)
        self._service = Service(models, limits, budget)
        self._server.add_generic_rpc_handlers((self._service.handler(),))
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            self.port: int = self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise BonafideError(
                f"cannot listen on {address}; choose another --host or --grpc-port"
            ) from error

    async def start(self) -> None:
        """Answer from now on."""
        await self._server.start()

    async def drain(self, seconds: float) -> None:
        """Take no new inferences and finish those begun, for at most ``seconds``.

        Those that watch the health are told, and not waited for.
        """
        self._models.draining = True
        await self.health.enter_graceful_shutdown()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._service.running:
                    await asyncio.sleep(POLL_SECONDS)
        await self._server.stop(min(seconds, LAST_SECONDS))


def _response(answer: Answer, identity: str) -> Any:
    told = tensors.parameters(answer).items()
    return pb.ModelInferResponse(
        model_name=answer.model,
        model_version=answer.version,
        id=identity,
        parameters={name: pb.InferParameter(string_param=value) for name, value in told},
        outputs=[
            pb.ModelInferResponse.InferOutputTensor(
                name=name, datatype=tensors.datatype(name), shape=values.shape
            )
            for name, values in answer.outputs.items()
        ],
        raw_output_contents=[tensors.raw(values) for values in answer.outputs.values()],
    )


def _fail(context: Any, code: grpc.StatusCode, message: str) -> None:
    context.set_code(code)
    context.set_details(message[:LONGEST_MESSAGE])

"""The gRPC side of the Open Inference Protocol v2: KServe's servicer with versions, and its errors named."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import grpc  # type: ignore[import-untyped]
from google.protobuf.message import DecodeError
from kserve import InferRequest
from kserve.errors import InvalidInput, ModelNotReady, ServerNotReady
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc
from kserve.protocol.grpc.interceptors import ExceptionToStatusInterceptor
from kserve.protocol.grpc.servicer import InferenceServicer

from bonafide.errors import BonafideError
from bonafide.serving.edge.body import Budget
from bonafide.serving.edge.ids import ID_HEADER, identify
from bonafide.serving.edge.limits import Limits
from bonafide.serving.edge.refused import count, counted
from bonafide.serving.errors import Overloaded, RequestError
from bonafide.serving.v2 import message
from bonafide.serving.v2.failures import LONGEST_MESSAGE
from bonafide.serving.v2.health import Health
from bonafide.serving.v2.plane import Plane, key
from bonafide.telemetry.logs import protocol, request_id

POLL_SECONDS = 0.05
LAST_SECONDS = 1  # for answers on their way
CODES = {
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    503: grpc.StatusCode.UNAVAILABLE,
}


class Servicer(InferenceServicer):  # type: ignore[misc]
    """KServe's servicer passes on no version and cannot load or unload:
    https://github.com/kserve/kserve/blob/v0.21.0/python/kserve/kserve/protocol/grpc/servicer.py
    """

    def __init__(self, plane: Plane, budget: Budget) -> None:
        super().__init__(plane, None)
        self.running = 0
        self._plane = plane
        self._budget = budget

    async def ModelReady(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        """Of the version that is asked for, or of the default."""
        return pb.ModelReadyResponse(ready=await self._plane.model_ready(key(request.name, request.version)))

    async def ModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        """With the versions that are loaded."""
        return pb.ModelMetadataResponse(
            **await self._plane.model_metadata(key(request.name, request.version))
        )

    async def RepositoryModelLoad(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        """Refused unless the server allows it."""
        await self._plane.models.load_model(request.model_name)
        return pb.RepositoryModelLoadResponse(model_name=request.model_name, isLoaded=True)

    async def RepositoryModelUnload(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        """Refused unless the server allows it."""
        await self._plane.models.unload_model(request.model_name)
        return pb.RepositoryModelUnloadResponse(model_name=request.model_name, isUnloaded=True)

    async def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        """gRPC cancels it when the client leaves or its deadline passes."""
        if self._plane.draining:
            raise ServerNotReady("the server stops; ask another")
        with self._run(), self._budget.share() as take:
            with counted():
                predictor = await self._plane.get_model(key(request.model_name, request.model_version))
                take(request.ByteSize())
                self.validate_grpc_request(request)
                question = InferRequest.from_grpc(request)
            question.id = question.id or request_id.get()
            response, _ = await predictor(question)
            return response.to_grpc()

    @contextmanager
    def _run(self) -> Iterator[None]:
        self.running += 1
        try:
            yield
        finally:
            self.running -= 1


class Interceptor(ExceptionToStatusInterceptor):  # type: ignore[misc]
    """Names the errors that KServe's leaves INTERNAL or UNKNOWN, and gives each request its id:
    https://github.com/kserve/kserve/blob/v0.21.0/python/kserve/kserve/protocol/grpc/interceptors.py
    """

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        """A message that is refused reaches :meth:`intercept` as the error; gRPC would answer UNKNOWN."""
        handler = await super().intercept_service(continuation, handler_call_details)
        if handler is None:
            return None
        return handler._replace(request_deserializer=_bounded(handler.request_deserializer))

    async def intercept(self, method: Any, request_or_iterator: Any, context: Any, method_name: str) -> Any:
        """Set the id and the protocol, then call the method."""
        protocol.set("grpc")
        given = dict(context.invocation_metadata() or ()).get(ID_HEADER)
        context.set_trailing_metadata(((ID_HEADER, identify(given)),))
        if isinstance(request_or_iterator, RequestError):
            count("grpc", "refused", request_or_iterator.reason)
            return await self.handle_exception(request_or_iterator, None, context, method_name)
        return await super().intercept(method, request_or_iterator, context, method_name)

    async def handle_exception(
        self, ex: Exception, request_or_iterator: Any, context: Any, method_name: str
    ) -> None:
        """Set the status that fits. Aborting raises an error that gRPC keeps, and that keeps the request's
        frames and with them its message, until the garbage collector comes by.
        """
        if isinstance(ex, RequestError | InvalidInput):
            context.set_code(CODES.get(getattr(ex, "status", 400), grpc.StatusCode.INVALID_ARGUMENT))
        elif isinstance(ex, Overloaded | ModelNotReady | ServerNotReady):
            after = ("retry-after", str(getattr(ex, "retry_after", 1)))
            context.set_trailing_metadata(((ID_HEADER, request_id.get()), after))
            context.set_code(grpc.StatusCode.UNAVAILABLE)
        else:
            await super().handle_exception(ex, request_or_iterator, context, method_name)
        context.set_details(str(ex)[:LONGEST_MESSAGE])


class Server:
    """The gRPC server of the protocol and of ``grpc.health.v1``; answers once started.

    Raises:
        BonafideError: the port is taken or the host is not one of this machine.
    """

    def __init__(self, plane: Plane, limits: Limits, budget: Budget, host: str, port: int) -> None:
        self._server = grpc.aio.server(
            interceptors=[Interceptor()],
            options=[
                ("grpc.max_receive_message_length", limits.body),
                ("grpc.max_send_message_length", limits.body),
                ("grpc.so_reuseport", 0),
            ],
            maximum_concurrent_rpcs=limits.rpcs,
        )
        self._plane = plane
        self.health = Health(plane)
        self.health.add_to(self._server)
        self._servicer = Servicer(plane, budget)
        grpc_predict_v2_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(self._servicer, self._server)
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
        self._plane.draining = True
        await self.health.enter_graceful_shutdown()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._servicer.running:
                    await asyncio.sleep(POLL_SECONDS)
        await self._server.stop(min(seconds, LAST_SECONDS))


def _bounded(deserialize: Any) -> Any:
    def attempt(content: bytes) -> Any:
        try:
            message.check(content)
            return deserialize(content)
        except RequestError as error:
            return error
        except (DecodeError, LookupError):
            return RequestError("the message is no valid protocol buffer")

    return attempt

"""The gRPC side: kserve's servicer without the methods that load and unload models."""

from typing import Any

import grpc  # type: ignore[import-untyped]
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc
from kserve.protocol.grpc.interceptors import ExceptionToStatusInterceptor
from kserve.protocol.grpc.servicer import InferenceServicer

from bonafide.errors import BonafideError
from bonafide.serving.v2.question import RequestError


class _Servicer(InferenceServicer):  # type: ignore[misc]
    async def RepositoryModelLoad(self, request: Any, context: Any) -> None:  # noqa: N802, ARG002
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "this server has one model and keeps it")

    RepositoryModelUnload = RepositoryModelLoad


class _Interceptor(ExceptionToStatusInterceptor):  # type: ignore[misc]
    async def handle_exception(self, ex: Exception, request: Any, context: Any, method: str) -> None:
        if isinstance(ex, RequestError):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(ex))
        await super().handle_exception(ex, request, context, method)


def create_server(
    dataplane: DataPlane, host: str, port: int, maximum_bytes: int
) -> tuple[grpc.aio.Server, int]:
    """A server that listens once started, and its port (the one chosen, if ``port`` is 0).

    Raises:
        BonafideError: the port is taken or the host is not one of this machine.
    """
    limit = [
        ("grpc.max_receive_message_length", maximum_bytes),
        ("grpc.max_send_message_length", maximum_bytes),
    ]
    server = grpc.aio.server(interceptors=[_Interceptor()], options=[*limit, ("grpc.so_reuseport", 0)])
    servicer = _Servicer(dataplane, None)
    grpc_predict_v2_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, server)
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        return server, server.add_insecure_port(address)
    except RuntimeError as error:
        raise BonafideError(f"cannot listen on {address}; choose another --host or --grpc-port") from error

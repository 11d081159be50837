"""``grpc.health.v1``, which KServe's server lacks: Kubernetes probes and load balancers ask it."""

import asyncio
from typing import Any

from grpc_health.v1 import health_pb2_grpc  # type: ignore[import-untyped]
from grpc_health.v1.health import aio  # type: ignore[import-untyped]
from grpc_health.v1.health_pb2 import HealthCheckResponse  # type: ignore[import-untyped]
from kserve.protocol.grpc.grpc_predict_v2_pb2 import DESCRIPTOR

from bonafide.serving.models.versions import Models

SERVICE = DESCRIPTOR.services_by_name["GRPCInferenceService"].full_name
WATCH_SECONDS = 0.5


class Health(aio.HealthServicer):  # type: ignore[misc]
    """Serving or not, of the server (``""`` and the service's name) and of each model by its name.

    ``Watch`` tells a change within half a second.
    """

    def __init__(self, models: Models) -> None:
        super().__init__()
        self._models = models

    def add_to(self, server: Any) -> None:
        """Register with a server."""
        health_pb2_grpc.add_HealthServicer_to_server(self, server)

    async def Check(self, request: Any, context: Any) -> Any:  # noqa: N802
        """As of now."""
        await self._update()
        return await super().Check(request, context)

    async def follow(self) -> None:
        """Tell those that watch, until cancelled."""
        while True:
            await self._update()
            await asyncio.sleep(WATCH_SECONDS)

    async def _update(self) -> None:
        server = self._models.ready
        gone = dict.fromkeys(self._server_status, False)
        found = {name: self._models.find(name) for name in self._models.names}
        models = {name: predictor is not None and predictor.ready for name, predictor in found.items()}
        for service, ready in {**gone, **models, "": server, SERVICE: server}.items():
            status = HealthCheckResponse.SERVING if ready else HealthCheckResponse.NOT_SERVING
            if self._server_status.get(service) != status:
                await self.set(service, status)

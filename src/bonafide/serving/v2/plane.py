"""KServe's data plane, with versions of models, honest readiness and draining."""

import kserve
from kserve.errors import ModelNotReady
from kserve.protocol.dataplane import DataPlane

import bonafide
from bonafide.serving.errors import RequestError
from bonafide.serving.models.predictor import Predictor
from bonafide.serving.models.versions import SEPARATOR, Models

EXTENSIONS = ("binary_tensor_data", "model_repository")


def key(model: str, version: str = "") -> str:
    """What :meth:`Models.get_model` knows a version of a model by; the default version if none is given."""
    return f"{model}{SEPARATOR}{version}" if version else model


class Plane(DataPlane):  # type: ignore[misc]
    """The data plane that REST and gRPC share. ``draining`` makes the server unready for good.

    KServe's own knows no versions: https://github.com/kserve/kserve/issues/4655. A name here is a
    :func:`key`, so its methods take a version without a change of their own.
    """

    def __init__(self, models: Models) -> None:
        super().__init__(models)
        self.models = models
        self.draining = False

    def metadata(self) -> dict[str, object]:
        """Name, version and the extensions of the protocol that are answered."""
        return {"name": "bonafide", "version": bonafide.__version__, "extensions": list(EXTENSIONS)}

    async def ready(self) -> bool:
        """Whether every model answers. KServe's says yes always, even when none is loaded:
        https://github.com/kserve/kserve/blob/v0.21.0/python/kserve/kserve/protocol/dataplane.py
        """
        return not self.draining and self.models.ready and bool(self.models.get_models())

    async def model_ready(self, model_name: str, disable_predictor_health_check: bool = False) -> bool:  # noqa: ARG002
        """Whether a model answers.

        Raises:
            RequestError: 404, there is no such model.
        """
        return not self.draining and self.get_model_from_registry(model_name).ready

    async def model_metadata(self, model_name: str) -> dict[str, object]:
        """KServe's, and the versions and platform that it leaves out.

        Raises:
            RequestError: 404, there is no such model.
        """
        metadata: dict[str, object] = await super().model_metadata(model_name)
        name = model_name.partition(SEPARATOR)[0]
        return metadata | {
            "name": name,
            "versions": list(self.models.versions(name)),
            "platform": "onnxruntime_onnx",
        }

    def get_model_from_registry(self, name: str) -> Predictor:
        """The predictor.

        Raises:
            RequestError: 404, there is no such model, or no such version of it.
        """
        predictor = self.models.get_model(name)
        if predictor is None:
            raise RequestError(self._absent(*name.partition(SEPARATOR)), 404, "unknown-model")
        return predictor

    async def get_model(self, name: str) -> kserve.Model:
        """The predictor, if it is ready. KServe's loads one that is not, on the event loop:
        https://github.com/kserve/kserve/blob/v0.21.0/python/kserve/kserve/protocol/dataplane.py

        Raises:
            RequestError: 404, there is no such model.
            ModelNotReady: it cannot answer yet.
        """
        predictor = self.get_model_from_registry(name)
        if not predictor.ready:
            raise ModelNotReady(name)
        return predictor

    def _absent(self, name: str, _: str, version: str) -> str:
        if versions := self.models.versions(name):
            return f"model {name!r} has no version {version!r}; it has {', '.join(versions)}"
        return f"there is no model {name!r}; GET /v2/models lists those that there are"

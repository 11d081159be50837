"""The models that a server has, several versions of each; readers see a change whole or not at all."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, Protocol

import kserve

from bonafide.serving.errors import RequestError
from bonafide.serving.models.predictor import Predictor
from bonafide.telemetry.metrics import MODEL_INFO

KEEP = 2
SEPARATOR = "/versions/"


class Absent(NamedTuple):
    """Why a version does not answer."""

    state: Literal["LOADING", "UNAVAILABLE"]
    reason: str


class Control(Protocol):
    """What loads and takes out models when a client asks for it."""

    async def load(self, name: str) -> None:
        """Load what the model's location has now."""

    async def unload(self, name: str) -> None:
        """Take the model out until it is loaded again."""


class Models(kserve.ModelRepository):  # type: ignore[misc]
    """Predictors by name and version; safe to change in one thread while others read.

    A request holds the predictor that it was given and finishes on it. A version that retires is forgotten
    here only, so its session is freed with the last of its requests.

    Attributes:
        control: loads and unloads for clients; they are refused while it is None.
    """

    def __init__(self) -> None:
        super().__init__()
        self.control: Control | None = None
        self._loaded: dict[str, tuple[Predictor, ...]] = {}
        self._absent: dict[str, Mapping[str, Absent]] = {}

    def get_model(self, key: str) -> Predictor | None:
        """The default version for ``name``, that one for ``name/versions/version``; None if not loaded."""
        name, separator, version = key.partition(SEPARATOR)
        loaded = self._loaded.get(name, ())
        if separator:
            return next((predictor for predictor in loaded if predictor.version == version), None)
        return loaded[0] if loaded else None

    def get_models(self) -> dict[str, Predictor]:
        """The default version of each model, by name."""
        return {name: loaded[0] for name, loaded in self._loaded.items() if loaded}

    def versions(self, name: str) -> tuple[str, ...]:
        """The versions that are loaded, the default first."""
        return tuple(predictor.version for predictor in self._loaded.get(name, ()))

    @property
    def ready(self) -> bool:
        """Whether each model has a version that answers; one that was unloaded has none."""
        return all(loaded and loaded[0].ready for loaded in self._loaded.values())

    def add(self, *predictors: Predictor) -> None:
        """Serve ``predictors`` of one name, the first as its default.

        Of those before, as many stay as make :data:`KEEP`; a version replaces its namesake.
        """
        name = predictors[0].name
        before = self._loaded.get(name, ())
        unique: dict[str, Predictor] = {}
        for predictor in (*predictors, *before):
            unique.setdefault(predictor.version, predictor)
        self._put(name, tuple(unique.values())[:KEEP])

    def remove(self, name: str) -> None:
        """Serve no version of ``name``."""
        self._put(name, ())

    def report(self, name: str, absent: Mapping[str, Absent]) -> None:
        """Say for :meth:`index` which versions of a model are not served, and why."""
        self._absent = self._absent | {name: dict(absent)}

    def index(self, ready_only: bool) -> list[dict[str, str]]:
        """Name, version, state and reason of every version that is loaded, loading or refused."""
        loaded = [
            _entry(name, predictor.version, "READY" if predictor.ready else "UNAVAILABLE", "")
            for name, predictors in self._loaded.items()
            for predictor in predictors
        ]
        absent = [
            _entry(name, version, *why)
            for name, reasons in self._absent.items()
            for version, why in reasons.items()
        ]
        return [entry for entry in loaded + absent if entry["state"] == "READY" or not ready_only]

    async def load_model(self, name: str) -> None:
        """Look for a new version now, also after :meth:`unload_model`.

        Raises:
            RequestError: 403 where clients may not, 404 for an unknown model, 400 if the package is refused.
        """
        await self._control_of(name).load(name)

    async def unload_model(self, name: str) -> None:
        """Take all versions out until the model is loaded again; requests that have begun are finished.

        Raises:
            RequestError: 403 where clients may not, 404 for an unknown model.
        """
        await self._control_of(name).unload(name)

    def _put(self, name: str, predictors: tuple[Predictor, ...]) -> None:
        before = self._loaded.get(name, ())
        self._loaded[name] = predictors
        for predictor in before:
            MODEL_INFO.remove(*_labels(predictor))
        for predictor in predictors:
            MODEL_INFO.labels(*_labels(predictor)).set(1)

    def _control_of(self, name: str) -> Control:
        if self.control is None:
            raise RequestError("this server was started without --repository-control", 403)
        if name not in self._loaded:
            raise RequestError(f"no model {name!r}; the repository index lists those that there are", 404)
        return self.control


def _entry(name: str, version: str, state: str, reason: str) -> dict[str, str]:
    return {"name": name, "version": version, "state": state, "reason": reason}


def _labels(predictor: Predictor) -> tuple[Any, ...]:
    info = predictor.info
    return predictor.name, predictor.version, predictor.variant, info.model_digest, info.architecture

"""The models that a server has, several versions of each; readers see a change whole or not at all."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple, Protocol

from bonafide.serving.errors import Overloaded, RequestError
from bonafide.serving.models.meters import counted
from bonafide.serving.models.predictor import Predictor
from bonafide.telemetry.metrics import MODEL_INFO

KEEP = 2
RETRY_SECONDS = 1


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


class Models:
    """Predictors by name and version; safe to change in one thread while others read.

    A request holds the predictor that it was given and finishes on it. A version that retires is forgotten
    here only, so its session is freed with the last of its requests.

    Attributes:
        control: loads and unloads for clients; they are refused while it is None.
        draining: the server stops; it is not ready any more and answers what has begun.
    """

    def __init__(self) -> None:
        self.control: Control | None = None
        self.draining = False
        self._loaded: dict[str, tuple[Predictor, ...]] = {}
        self._absent: dict[str, Mapping[str, Absent]] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The models that have a version."""
        return tuple(name for name, loaded in self._loaded.items() if loaded)

    @property
    def ready(self) -> bool:
        """Whether each model has a version that answers; one that was unloaded has none."""
        every = all(loaded and loaded[0].ready for loaded in self._loaded.values())
        return not self.draining and bool(self._loaded) and every

    def find(self, name: str, version: str = "") -> Predictor | None:
        """That version of a model, or its default; None if it is not loaded."""
        loaded = self._loaded.get(name, ())
        return next((each for each in loaded if version in ("", each.version)), None)

    def get(self, name: str, version: str = "") -> Predictor:
        """That version of a model, or its default.

        Raises:
            RequestError: 404, there is no such model, or no such version of it.
        """
        if predictor := self.find(name, version):
            return predictor
        if versions := self.versions(name):
            message = f"model {name!r} has no version {version!r}; it has {', '.join(versions)}"
        else:
            message = f"there is no model {name!r}; GET /v2/models lists those that there are"
        raise RequestError(message, 404, "unknown-model")

    @contextmanager
    def asked(self, name: str, version: str = "") -> Iterator[Predictor]:
        """The predictor for one request, which is counted by how it ends.

        Raises:
            RequestError: as :meth:`get`.
            Overloaded: the predictor is not ready.
        """
        known = self.find(name, version) or self.find(name)
        with counted(*(known.name, known.version) if known else ()):
            predictor = self.get(name, version)
            if not predictor.ready:
                raise Overloaded(f"model {name!r} is not ready", RETRY_SECONDS, "not-ready")
            yield predictor

    def versions(self, name: str) -> tuple[str, ...]:
        """The versions that are loaded, the default first."""
        return tuple(predictor.version for predictor in self._loaded.get(name, ()))

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

    async def load(self, name: str) -> None:
        """Look for a new version now, also after :meth:`unload`.

        Raises:
            RequestError: 403 where clients may not, 404 for an unknown model, 400 if the package is refused.
        """
        await self._control_of(name).load(name)

    async def unload(self, name: str) -> None:
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
    return predictor.name, predictor.version, predictor.info.model_digest, predictor.info.architecture

"""Keeps a server at the newest good package of a source: asks, verifies, loads, warms, swaps.

A request is never refused for it: what serves goes on serving until its successor is ready.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bonafide.errors import BonafideError, PackageError
from bonafide.serving.errors import RequestError
from bonafide.serving.models.locations import Source, Stamp, stamp
from bonafide.serving.models.predictor import Predictor
from bonafide.serving.models.versions import KEEP, Absent, Models
from bonafide.telemetry.metrics import MODEL_LOADS

logger = logging.getLogger(__name__)

Load = Callable[[Path, str], Predictor]
"""Verifies, loads and warms the package in a folder under a version; an empty one is the model's digest."""


@dataclass(frozen=True)
class _Refusal:
    reason: str
    final: bool


class Watcher:
    """Asks a source now and then, and has its best good package served, and the next best beside it.

    A package that is refused while its files still change is being written: it is tried again and nothing is
    said. One that has come to rest is refused for good: that is logged and counted once, until it changes.

    Args:
        seconds: between two questions.
    """

    def __init__(self, source: Source, load: Load, models: Models, seconds: float) -> None:
        self._source = source
        self._load = load
        self._models = models
        self._seconds = seconds
        self._lock = threading.Lock()
        self._name = ""
        self._unloaded = False
        self._stamps: dict[str, Stamp] = {}
        self._refused: dict[str, _Refusal] = {}
        self._serving: dict[str, Predictor] = {}

    def start(self) -> None:
        """Load for the first time.

        Raises:
            PackageError: no package is good; says why the best one is not.
        """
        self.poll(final=True)
        if not self._serving:
            reasons = [refusal.reason for refusal in self._refused.values()]
            raise PackageError(reasons[0] if reasons else "there is no package to serve")

    async def run(self) -> None:
        """Ask for ever, on another thread; trouble with the source is logged once."""
        trouble = ""
        while True:
            await asyncio.sleep(self._seconds)
            try:
                await asyncio.to_thread(self.poll)
                trouble = ""
            except Exception as error:
                if str(error) != trouble:
                    logger.warning("cannot ask for new versions: %s", error, exc_info=error)
                trouble = str(error)

    async def load(self, name: str) -> None:  # noqa: ARG002  (there is one)
        """Ask now, also after :meth:`unload`.

        Raises:
            RequestError: 400 if the best package is refused, 503 if the source cannot be asked.
        """
        try:
            refusal = await asyncio.to_thread(self._load_now)
        except BonafideError as error:
            raise RequestError(str(error), 503) from error
        if refusal:
            raise RequestError(refusal, 400)

    async def unload(self, name: str) -> None:  # noqa: ARG002  (there is one)
        """Serve nothing until :meth:`load`."""
        await asyncio.to_thread(self._unload)

    def poll(self, final: bool = False) -> None:
        """Ask once and have served what is good.

        Args:
            final: refuse for good at once.
        """
        with self._lock:
            if not self._unloaded:
                self._poll(final)

    def _load_now(self) -> str:
        """The reason for which the best package is refused, empty if it is not."""
        with self._lock:
            self._unloaded = False
            for key in self._refused:
                self._stamps.pop(key, None)
            best = self._poll(final=True)
            return self._refused[best].reason if best in self._refused else ""

    def _unload(self) -> None:
        with self._lock:
            self._unloaded = True
            self._serving.clear()
            self._models.remove(self._name)
            self._models.report(self._name, {"": Absent("UNAVAILABLE", "unloaded")})

    def _poll(self, final: bool) -> str:
        """The version of the best package, good or not."""
        packages, told = self._source(), dict(self._refused)
        good: list[Predictor] = []
        for key, package in packages.items():
            if len(good) < KEEP and (predictor := self._best(key, package, final)):
                good.append(predictor)
        self._forget_all_but(packages)
        if good:
            self._swap(good)
        for key, refusal in self._refused.items():
            if self._name and refusal.final and refusal is not told.get(key):
                MODEL_LOADS.labels(self._name, "refused").inc()
                logger.error("a package is refused", extra=self._fields(key, reason=refusal.reason))
        self._report({})
        return next(iter(packages), "")

    def _best(self, key: str, package: Path, final: bool) -> Predictor | None:
        """What is served under ``key`` after looking at the package: its content if that is good."""
        found, refusal = stamp(package), self._refused.get(key)
        rested = found == self._stamps.get(key)
        if not rested or (not refusal.final if refusal else key not in self._serving):
            self._stamps[key] = found
            try:
                self._serving[key] = self._take(key, package)
                self._refused.pop(key, None)
            except PackageError as error:
                self._refused[key] = _Refusal(str(error), final or rested)
        return self._serving.get(key)

    def _take(self, key: str, package: Path) -> Predictor:
        """Load a package, or take the predictor that has the same already.

        Raises:
            PackageError: it is refused.
        """
        self._report({key: Absent("LOADING", "")})
        try:
            predictor = self._load(package, key)
        except BonafideError as error:
            raise PackageError(str(error)) from error
        except Exception as error:
            raise PackageError(f"{package} cannot be loaded: {error!r}; build the package again") from error
        if self._name and predictor.name != self._name:
            raise PackageError(f"{package} is for the task {predictor.name}, {self._name} is served here")
        self._name = predictor.name
        same = self._models.find(self._name, predictor.version)
        if same and same.info == predictor.info:
            return same
        MODEL_LOADS.labels(self._name, "refused")  # at zero: Prometheus takes a first value for no growth
        MODEL_LOADS.labels(self._name, "loaded").inc()
        return predictor

    def _swap(self, good: list[Predictor]) -> None:
        before = self._models.find(self._name)
        self._models.add(*good)
        names = self._models.versions(self._name)
        self._serving = {key: kept for key, kept in self._serving.items() if kept.version in names}
        if before is not good[0]:
            logger.info("a model version is served", extra=self._fields(good[0].version, loaded=names))

    def _forget_all_but(self, keys: Iterable[str]) -> None:
        for known in (self._stamps, self._refused, self._serving):
            for key in known.keys() - keys:
                del known[key]

    def _report(self, changed: dict[str, Absent]) -> None:
        refused = {key: Absent("UNAVAILABLE", refusal.reason) for key, refusal in self._refused.items()}
        if self._name:
            self._models.report(self._name, refused | changed)

    def _fields(self, version: str, **more: Any) -> dict[str, Any]:
        return {"model": self._name, "version": version, **more}

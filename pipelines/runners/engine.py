"""What every engine elsewhere can do, and following a run there."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from bonafide.errors import BonafideError
from pipelines import engines
from pipelines.compilation import PIPELINES
from pipelines.engines import Kubeflow, Vertex
from pipelines.rendering import READS_THE_STORE, render
from pipelines.runners.steps import Step

POLL_SECONDS = 10.0
PATIENCE = 6  # failures in a row
ENDED = ("SUCCEEDED", "FAILED", "CANCELLED")


@dataclass(frozen=True)
class RemoteRun:
    """A run as its engine tells it. ``state`` is PENDING, RUNNING or one of ``ENDED``."""

    id: str
    name: str
    state: str
    link: str
    created: str = ""
    error: str = ""
    steps: tuple[Step, ...] = field(default=(), repr=False)

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self.state in ENDED

    @property
    def failure(self) -> str:
        """What failed and why, for a person; empty if nothing did."""
        if self.state == "SUCCEEDED":
            return ""
        failed = next((step for step in self.steps if step.state == "FAILURE"), None)
        what = f"{failed.name} failed" if failed else f"the run {self.state.lower()}"
        return f"{what}: {(failed and failed.error) or self.error or 'see its log'}"


@dataclass(frozen=True)
class Schedule:
    """When an engine starts a pipeline by itself.

    ``cron`` has five fields: minute, hour, day, month, weekday. Without ``time_zone`` the engine's holds.
    """

    id: str
    name: str
    cron: str
    enabled: bool
    next: str = ""
    time_zone: str = ""


class Engine(Protocol):
    """Kubeflow Pipelines or Vertex AI Pipelines.

    Each method raises BonafideError: the engine does not answer, or refuses.
    """

    def submit(self, name: str, arguments: dict[str, Any], label: str = "") -> RemoteRun:
        """Start the pipeline of that name; the run's name holds the label."""

    def look(self, run: str) -> RemoteRun:
        """How a run stands, with its steps."""

    def cancel(self, run: str) -> None:
        """End a run; steps that work are stopped."""

    def runs(self, limit: int) -> list[RemoteRun]:
        """The newest runs, without their steps."""

    def schedule(self, name: str, arguments: dict[str, Any], cron: str, time_zone: str = "") -> Schedule:
        """Start the pipeline by itself from now on, one run at a time."""

    def schedules(self) -> list[Schedule]:
        """All schedules."""

    def pause(self, schedule: str) -> None:
        """Start no run until :meth:`resume`."""

    def resume(self, schedule: str) -> None:
        """Go on; what was missed is not made up for."""

    def unschedule(self, schedule: str) -> None:
        """Remove a schedule; its runs stay."""


def named(pipeline: str, arguments: dict[str, Any]) -> str:
    """What a schedule is called: there is one for each pipeline and task."""
    return f"{pipeline} {arguments.get('name', '')}".strip()


def settings_of(engine: str) -> Kubeflow | Vertex:
    """What ``engines/NAME.yaml`` holds, or the file of that name.

    Raises:
        ConfigError: there is no such file, or it holds what is no setting.
    """
    path = Path(engine) if engine.endswith((".yaml", ".yml")) else Path("engines", f"{engine}.yaml")
    settings = engines.load(path)
    for name in PIPELINES:  # says now what would be refused later
        if name != READS_THE_STORE or engines.has_store(settings):
            render(name, settings)
    return settings


def connect(engine: str) -> Engine:
    """The engine that is set up as :func:`settings_of` says.

    Raises:
        BonafideError: its settings do not hold, or it does not answer.
    """
    settings = settings_of(engine)
    if settings.engine == "kubeflow":
        from pipelines.runners.kubeflow import KubeflowEngine

        return KubeflowEngine(settings)
    from pipelines.runners.vertex import VertexEngine

    return VertexEngine(settings)


def follow(
    engine: Engine,
    run: str,
    on_change: Callable[[Step], None],
    patience: int = PATIENCE,
    cancelled: Callable[[], bool] = lambda: False,
) -> RemoteRun:
    """Wait until a run has ended, calling ``on_change`` with each step that changed.

    Args:
        patience: how often the engine may fail to answer, one time after the other, every ``POLL_SECONDS``.
        cancelled: whether to end the run; asked each time, until the engine was told.

    Raises:
        DeliveryError: the engine has not answered for a while; the run may go on.
    """
    seen: dict[str, Step] = {}
    failures, told = 0, False
    while True:
        try:
            found = engine.look(run)
            if not told and not found.ended and cancelled():
                engine.cancel(run)
                told = True
            for step in _changed(found.steps, seen):
                on_change(step)
            if found.ended:
                return found
            failures = 0
        except BonafideError:
            failures += 1
            if failures == patience:
                raise
        time.sleep(POLL_SECONDS)


def _changed(steps: Iterable[Step], seen: dict[str, Step]) -> Iterable[Step]:
    for step in steps:
        before = seen.get(step.name)
        if before is None or (before.state, before.cache_key) != (step.state, step.cache_key):
            seen[step.name] = step
            yield step

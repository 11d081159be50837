"""Running a pipeline on this machine with kfp's subprocess runner: no cluster, no Docker."""

import contextlib
import functools
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bonafide.errors import BonafideError
from bonafide.files import lock
from bonafide.home import home
from bonafide.version import code_digest
from pipelines.runners.steps import Step, StepLog, output_path


@dataclass(frozen=True)
class Run:
    """A finished local run. ``error`` is what a user can mend, or empty."""

    folder: Path
    steps: tuple[Step, ...]
    succeeded: bool
    error: str

    @property
    def failure(self) -> str:
        """Which step failed and why, for a person; empty if none did."""
        if self.succeeded:
            return ""
        failed = next((step.name for step in self.steps if step.state == "FAILURE"), "the pipeline")
        return f"{failed} failed: {self.error or 'an unexpected error'}"

    @property
    def log(self) -> Path:
        """All that kfp and the components printed."""
        return self.folder / "log.txt"

    def step(self, name: str) -> Step | None:
        """The step of that name, or None if the run did not get there."""
        return next((step for step in self.steps if step.name == name), None)

    def artifact(self, step: str, output: str) -> Path:
        """Where an output artifact of a step is.

        Raises:
            BonafideError: the run did not get there.
        """
        found = self.step(step)
        if found is None or found.state != "SUCCESS":
            raise BonafideError(f"the run has no output of {step}: {self.error or f'see {self.log}'}")
        return output_path(found, self.folder, _cache(), output)


def run(pipeline: Callable[..., Any], arguments: dict[str, Any], on_change: Callable[[Step], None]) -> Run:
    """Run ``pipeline``; steps whose inputs did not change since an earlier run come from the cache.

    A run that was killed goes on where it stopped when it is started again with the same arguments: finished
    steps are cached, and training resumes from its last epoch. A run that trains waits for another one of the
    same task, which would write to the same folder.

    Args:
        on_change: called with a step whenever it starts, progresses or ends.
    """
    task = arguments.get("name") if arguments.get("retrain") != "never" else None
    with (
        lock(home() / f"training-{task}.lock", functools.partial(_tell_to_wait, task))
        if task
        else contextlib.nullcontext()
    ):
        return _run(pipeline, arguments, on_change)


def _tell_to_wait(task: str) -> None:
    sys.stderr.write(f"another run of {task} works in {home()}; waiting for it\n")


def _run(pipeline: Callable[..., Any], arguments: dict[str, Any], on_change: Callable[[Step], None]) -> Run:
    from kfp import local

    folder = home() / "runs" / datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
    folder.mkdir(parents=True)
    os.environ["BONAFIDE_HOME"] = str(home())  # for the tasks' processes
    local.init(
        local.SubprocessRunner(use_venv=False),
        pipeline_root=str(folder),
        workspace_root=str(folder / "workspace"),
        enable_caching=True,
        cache_root=str(_cache()),
    )
    _know_by_content()
    succeeded = True
    with (folder / "log.txt").open("w") as stream:
        log = StepLog(stream, on_change)
        with _captured(log):
            try:
                pipeline(**arguments)
            except RuntimeError as error:
                succeeded = False
                stream.write(f"{error}\n")
    return Run(folder, tuple(log.steps), succeeded, log.error)


@contextlib.contextmanager
def _captured(log: StepLog) -> Iterator[None]:
    """Send to ``log`` what kfp prints and what it logs through the root logger."""
    logger, handler = logging.getLogger(), logging.StreamHandler(log)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        with contextlib.redirect_stdout(log), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of resources and images, which mean nothing on a laptop
            yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


@functools.cache
def _know_by_content() -> None:
    """Let the cache take an artifact that tells its ``content`` for the same wherever it lies.

    So a step that ran again and came to the same bytes does not make those after it run again.
    """
    from kfp.dsl import Artifact
    from kfp.local.cache import LocalCache

    def told(value: Any) -> Any:
        known = plain(value)
        return known | {"uri": ""} if isinstance(value, Artifact) and "content" in value.metadata else known

    plain = LocalCache._serialize_value_for_key
    LocalCache._serialize_value_for_key = staticmethod(told)


def _cache() -> Path:
    """One cache a state of the code: kfp's keys follow inputs, not the library behind a component."""
    return home() / "cache" / code_digest()[:12]

"""Performs the runs that were asked for: one after the other, here or on an engine."""

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, TypeVar

from bonafide.errors import BonafideError, DeliveryError
from bonafide.queue import Queue, Run, StepState
from bonafide.task import Task, load_task
from pipelines.runners import engine as engines
from pipelines.runners.engine import Engine, RemoteRun
from pipelines.runners.steps import Step

if TYPE_CHECKING:
    from pipelines.runners.local import Run as LocalRun

MONITORING = "monitoring"
MOST_ATTEMPTS = 3
PATIENCE = 360  # an hour: while an engine is away, its run may go on
RECENT = 50
LOOK_SECONDS = 1.0
AT_STAKE = ("register", "promote")  # which end in seconds, and leave the better state if they do
STATES = {"RUNNING": "running", "SUCCESS": "succeeded", "FAILURE": "failed"}

Ended = dict[str, Any]
Answer = TypeVar("Answer")


class AwayError(DeliveryError):
    """An engine does not answer, at which a run of ours may go on."""


def work(task: str) -> None:
    """Perform what waits for a task; return when nothing does, or another process is at it already.

    What comes while this returns is seen: it looks again once others may work.

    Raises:
        AwayError: the run is for the next worker to take up, and what waits behind it waits on.
    """
    queue = Queue()
    while task in queue.tasks():
        with queue.alone(task) as alone:
            if not alone:
                return
            while run := queue.begin(task):
                queue.note(run.id, **_performed(run, queue))


def _performed(run: Run, queue: Queue) -> Ended:
    try:
        if run.engine:
            return _elsewhere(run, queue)
        if run.cancelling:
            return {"state": "cancelled"}
        if run.attempts > MOST_ATTEMPTS:
            raise BonafideError(f"begun {MOST_ATTEMPTS} times, and each time something ended its worker")
        return _here(run, queue)
    except BonafideError as error:
        if isinstance(error, AwayError) and not queue.is_cancelling(run.id):
            raise
        return {"state": "failed", "message": str(error)}
    except Exception as error:  # noqa: BLE001  (the runs that wait must not suffer)
        traceback.print_exc(file=sys.stderr)
        return {"state": "failed", "message": f"unexpected: {error!r}; the worker's log has more"}


def _here(run: Run, queue: Queue) -> Ended:
    from bonafide.registry.tracking import start
    from bonafide.sources.digests import with_digest, with_weights
    from pipelines.compilation import load
    from pipelines.runners import local

    start()
    task = load_task(run.task, run.overrides)
    given = _arguments(run, (with_weights if run.pipeline == MONITORING else with_digest)(task))
    with _killed_when_cancelled(run, queue):
        finished = local.run(load(run.pipeline), given, _teller(run, queue))
    if finished.failure:
        return {"state": "failed", "message": finished.failure}
    return {"state": "succeeded", **_outcome(finished)}


def _arguments(run: Run, task: Task) -> dict[str, Any]:
    from pipelines import monitoring, training

    return monitoring.arguments(task, run=run.id) if run.pipeline == MONITORING else training.arguments(task)


def _outcome(finished: "LocalRun") -> Ended:
    """Whether a model went into service, and why or why not."""
    from bonafide.monitoring.decide import read_decision
    from pipelines import summary

    if finished.step("gate") is None:
        return {"message": read_decision(finished.artifact("decide", "decision")).why}
    gate = summary.summarise(finished)["gate"]
    refused = [check["why"] for check in gate["checks"] if not check["passed"]]
    return {"promoted": gate["promote"], "message": "; ".join(refused)}


@contextmanager
def _killed_when_cancelled(run: Run, queue: Queue) -> Iterator[None]:
    """End this process and all that it started as soon as the run is being cancelled.

    All that it writes is whole or absent, so that a kill leaves nothing to clear up.
    """
    over = Event()

    def watch() -> None:
        while not over.wait(LOOK_SECONDS):
            with suppress(BonafideError):  # it is looked at again
                found = queue.find(run.id)
                if found and found.cancelling and not any(step.name in AT_STAKE for step in found.steps):
                    queue.note(run.id, state="cancelled")
                    os.killpg(0, signal.SIGKILL)

    watcher = Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def _elsewhere(run: Run, queue: Queue) -> Ended:
    again = run.attempts > 1
    connect = partial(engines.connect, run.engine)
    engine = _patiently(connect, PATIENCE) if again else connect()
    remote = run.remote
    if not remote:
        made = _patiently(partial(_find, run, engine), PATIENCE) if again else None
        if run.cancelling and not made:
            return {"state": "cancelled"}
        made = made or _submit(run, engine)
        queue.note(run.id, remote=made.id, link=made.link)
        remote = made.id
    cancelled = partial(queue.is_cancelling, run.id)
    try:
        ended = engines.follow(engine, remote, _teller(run, queue), PATIENCE, cancelled)
    except BonafideError as error:
        raise AwayError(str(error)) from error
    if ended.state == "CANCELLED":
        return {"state": "cancelled", "message": ended.error}
    if ended.failure:
        return {"state": "failed", "message": ended.failure}
    promoted = any(step.name == "promote" and step.state == "SUCCESS" for step in ended.steps)
    return {"state": "succeeded", "promoted": promoted}


def _patiently(ask: Callable[[], Answer], patience: int) -> Answer:
    """What an engine answers that may have a run of ours, which goes on while the engine is away."""
    for _ in range(patience):
        with suppress(BonafideError):
            return ask()
        time.sleep(engines.POLL_SECONDS)
    try:
        return ask()
    except BonafideError as error:
        raise AwayError(str(error)) from error


def _find(run: Run, engine: Engine) -> RemoteRun | None:
    """What was submitted for a run, without anybody noting so."""
    return next((each for each in engine.runs(RECENT) if run.id in each.name), None)


def _submit(run: Run, engine: Engine) -> RemoteRun:
    from bonafide.sources.digests import as_seen_elsewhere

    task = load_task(run.task, run.overrides)
    given = _arguments(run, task if run.pipeline == MONITORING else as_seen_elsewhere(task))
    try:
        return engine.submit(run.pipeline, given, label=run.id)
    except DeliveryError as error:  # an engine that took the run may have been too slow to say so
        with suppress(BonafideError):
            if found := _patiently(partial(_find, run, engine), engines.PATIENCE):
                return found
        raise error


def _teller(run: Run, queue: Queue) -> Callable[[Step], None]:
    """Notes steps as they begin and end; progress within them is not kept."""
    seen: dict[str, StepState] = {}

    def tell(step: Step) -> None:
        before = seen.get(step.name)
        if before is None or before.state != STATES[step.state]:
            seen[step.name] = StepState(
                name=step.name,
                state=STATES[step.state],
                seconds=round(step.seconds, 1),
                cached=bool(step.cache_key),
            )
            with suppress(BonafideError):  # the next change tells all of them
                queue.note(run.id, steps=tuple(seen.values()))

    return tell

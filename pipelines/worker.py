"""Performs the runs that were asked for: one after the other, here or on an engine."""

import sys
import traceback
from collections.abc import Callable
from typing import Any

from bonafide.errors import BonafideError
from bonafide.queue import Queue, Run, StepState
from bonafide.sources.ingest import as_seen_elsewhere, with_digest
from bonafide.task import load_task
from pipelines.compilation import load
from pipelines.runners import local
from pipelines.runners.engine import connect, follow
from pipelines.runners.steps import Step
from pipelines.training import arguments

MOST_ATTEMPTS = 3
PATIENCE = 360  # an hour: while an engine is away, its run may go on
STATES = {"RUNNING": "running", "SUCCESS": "succeeded", "FAILURE": "failed"}

Ended = dict[str, Any]


def work(task: str) -> None:
    """Perform what waits for a task; return when nothing does, or another process is at it already.

    What comes while this returns is seen: it looks again once others may work.
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
        if run.cancelling:
            return _cancelled(run)
        if run.attempts > MOST_ATTEMPTS:
            raise BonafideError(f"begun {MOST_ATTEMPTS} times, and each time something ended its worker")
        return (_elsewhere if run.engine else _here)(run, queue)
    except BonafideError as error:
        return {"state": "failed", "message": str(error)}
    except Exception as error:  # noqa: BLE001  (the runs that wait must not suffer)
        traceback.print_exc(file=sys.stderr)
        return {"state": "failed", "message": f"unexpected: {error!r}; the worker's log has more"}


def _cancelled(run: Run) -> Ended:
    if run.remote:
        connect(run.engine).cancel(run.remote)
    return {"state": "cancelled"}


def _here(run: Run, queue: Queue) -> Ended:
    from bonafide.registry.tracking import start
    from pipelines.summary import summarise

    start()
    task = with_digest(load_task(run.task, run.overrides))
    finished = local.run(load(run.pipeline), arguments(task, run.environment), _teller(run, queue))
    if finished.failure:
        return {"state": "failed", "message": finished.failure}
    gate = summarise(finished)["gate"]
    refused = [check["why"] for check in gate["checks"] if not check["passed"]]
    return {"state": "succeeded", "promoted": gate["promote"], "message": "; ".join(refused)}


def _elsewhere(run: Run, queue: Queue) -> Ended:
    engine, remote = connect(run.engine), run.remote
    if not remote:
        task = as_seen_elsewhere(load_task(run.task, run.overrides))
        made = engine.submit(run.pipeline, arguments(task, run.environment))
        queue.note(run.id, remote=made.id, link=made.link)
        remote = made.id
    ended = follow(engine, remote, _teller(run, queue), PATIENCE)
    if ended.state == "CANCELLED":
        return {"state": "cancelled", "message": ended.error}
    if ended.failure:
        return {"state": "failed", "message": ended.failure}
    promoted = any(step.name == "promote" and step.state == "SUCCESS" for step in ended.steps)
    return {"state": "succeeded", "promoted": promoted}


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
            queue.note(run.id, steps=tuple(seen.values()))

    return tell

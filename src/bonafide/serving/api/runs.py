"""Pipelines by request: start one, see how it stands, cancel it."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Literal, TypeVar

from fastapi import APIRouter, Request, Security
from fastapi.responses import Response

from bonafide import queue
from bonafide.errors import BonafideError, ConfigError
from bonafide.queue import Queue, Run
from bonafide.serving.api import contract
from bonafide.serving.api.aside import Aside
from bonafide.serving.api.door import Door
from bonafide.serving.api.payload import Payloads, subject
from bonafide.serving.api.problems import Problem
from bonafide.serving.api.schemas import Asked, Runs
from bonafide.serving.api.topic import Topic
from bonafide.serving.edge.limits import Limits
from bonafide.task import load_task
from bonafide.telemetry import metrics

SHOWN = 50
BODY_BYTES = 64 * 1024
RETRY_SECONDS = "60"
WATCH_SECONDS = 10
THREADS = 2
AT_ONCE = 32
logger = logging.getLogger(__name__)

_waiting = Aside("the queue", THREADS, AT_ONCE)

Result = TypeVar("Result")
Pipeline = Literal[queue.PIPELINES]  # type: ignore[valid-type]


class Endpoints:
    """What each path does; runs go to ``engine``, or are performed on this machine where it is empty."""

    def __init__(self, engine: str, limits: Limits) -> None:
        self._engine = engine
        self._payloads = Payloads(limits, BODY_BYTES)
        self._queue = Queue()

    async def start(self, pipeline: Pipeline, request: Request, response: Response) -> Run:
        """Let a run wait for its turn: there is one at a time for each task.

        Where the same run waits already, that one is answered.
        """
        asked = await self._payloads.read(request, Asked)
        run = Run(pipeline=pipeline, engine=self._engine, subject=subject(request), **dict(asked))
        try:
            await _waiting.do(load_task, run.task, run.overrides)
        except ConfigError as error:
            raise Problem(400, str(error)) from error
        waiting = await do(self._queue.add, run)
        await do(self._queue.wake, run.task)
        response.headers["location"] = f"/pipelines/{pipeline}/runs/{waiting.id}"
        return waiting

    async def newest(self, pipeline: Pipeline) -> Runs:
        """The newest fifty."""
        return Runs(runs=await do(self._queue.newest, pipeline, SHOWN))

    async def look(self, pipeline: Pipeline, run: str) -> Run:
        """How a run stands, with its steps."""
        found = await do(self._queue.find, run)
        if found is None or found.pipeline != pipeline:
            raise Problem(404, f"there is no run {run!r} of {pipeline}")
        return found

    async def cancel(self, pipeline: Pipeline, run: str) -> Run:
        """End a run, unless its model is being registered already. What its finished steps made stays."""
        found = await self.look(pipeline, run)
        await do(self._queue.cancel, run)
        await do(self._queue.wake, found.task)
        return await self.look(pipeline, run)


async def keep_working() -> None:
    """Start the workers of what an earlier life of this service or a killed worker left, now and later."""
    waiting = Queue()
    while True:
        try:
            await asyncio.to_thread(waiting.wake_all)
            await asyncio.to_thread(_show, waiting)
        except Exception:
            logger.exception("runs that wait are not seen")
        await asyncio.sleep(WATCH_SECONDS)


def router(endpoints: Endpoints, door: Door, topic: Topic) -> APIRouter:
    """Paths, what they need and what they answer."""
    router = APIRouter(generate_unique_id_function=lambda route: f"{route.name}_run")
    for method, path, endpoint, title, kind in (
        ("POST", "", endpoints.start, "Start a run", contract.started(topic)),
        ("GET", "", endpoints.newest, "The newest runs", contract.RUNS),
        ("GET", "/{run}", endpoints.look, "One run", contract.RUN),
        ("POST", "/{run}/cancel", endpoints.cancel, "Cancel a run", contract.CANCELLED),
    ):
        router.add_api_route(
            f"/pipelines/{{pipeline}}/runs{path}",
            endpoint,
            methods=[method],
            summary=title,
            tags=["pipelines"],
            dependencies=[Security(door.admit, scopes=["train"])],
            **kind,
        )
    return router


def _show(waiting: Queue) -> None:
    """Set the gauges of runs."""
    counts, last = waiting.counts(), waiting.last()
    for task in {name for name, _ in counts}:
        for state in ("queued", "running"):
            metrics.RUNS.labels(task, state).set(counts.get((task, state), 0))
        metrics.RUN_FAILED.labels(task).set(int(last.get(task) == "failed"))


async def do(use: Callable[..., Result], *given: Any) -> Result:
    """Use the queue on another thread.

    Raises:
        Problem: 503, it is full, cannot be used, or too many requests wait for it.
    """
    try:
        return await _waiting.do(use, *given)
    except BonafideError as error:
        raise Problem(503, str(error), {"Retry-After": RETRY_SECONDS}) from error

"""Pipelines by request: start one, see how it stands, cancel it."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal, TypeVar

from fastapi import APIRouter, Request, Security
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import ValidationError

from bonafide import queue
from bonafide.errors import BonafideError, ConfigError
from bonafide.queue import Queue, Run
from bonafide.serving.api import contract
from bonafide.serving.api.door import Door
from bonafide.serving.api.problems import Problem
from bonafide.serving.api.schemas import Asked, Runs
from bonafide.serving.edge import body
from bonafide.serving.edge.body import Budget
from bonafide.serving.edge.limits import Limits
from bonafide.task import load_task
from bonafide.telemetry import metrics

SHOWN = 50
BODY_BYTES = 64 * 1024
AT_ONCE = 16
RETRY_SECONDS = "60"
WATCH_SECONDS = 10
logger = logging.getLogger(__name__)

Result = TypeVar("Result")
Pipeline = Literal[queue.PIPELINES]  # type: ignore[valid-type]


class Endpoints:
    """What each path does; runs go to ``engine``, or are performed on this machine where it is empty."""

    def __init__(self, engine: str, limits: Limits) -> None:
        self._engine = engine
        self._limits = replace(limits, body=BODY_BYTES)
        self._budget = Budget(AT_ONCE * BODY_BYTES)
        self._queue = Queue()

    async def start(self, pipeline: Pipeline, request: Request, response: Response) -> Run:
        """Let a run wait for its turn: there is one at a time for each task.

        Where the same run waits already, that one is answered.
        """
        asked = await self._asked(request)
        run = Run(pipeline=pipeline, engine=self._engine, subject=_subject(request), **dict(asked))
        try:
            await asyncio.to_thread(load_task, run.task, run.overrides)
        except ConfigError as error:
            raise Problem(400, str(error)) from error
        waiting = await _do(self._queue.add, run)
        await _do(self._queue.wake, run.task)
        response.headers["location"] = f"/pipelines/{pipeline}/runs/{waiting.id}"
        return waiting

    async def newest(self, pipeline: Pipeline) -> Runs:
        """The newest fifty."""
        return Runs(runs=await _do(self._queue.newest, pipeline, SHOWN))

    async def look(self, pipeline: Pipeline, run: str) -> Run:
        """How a run stands, with its steps."""
        found = await _do(self._queue.find, run)
        if found is None or found.pipeline != pipeline:
            raise Problem(404, f"there is no run {run!r} of {pipeline}")
        return found

    async def cancel(self, pipeline: Pipeline, run: str) -> Run:
        """End a run, unless its model is being registered already. What its finished steps made stays."""
        found = await self.look(pipeline, run)
        await _do(self._queue.cancel, run)
        await _do(self._queue.wake, found.task)
        return await self.look(pipeline, run)

    async def _asked(self, request: Request) -> Asked:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise Problem(415, f"content-type {kind!r} is not supported; send application/json")
        with self._budget.share(_subject(request)) as take:
            content = await body.read(request, self._limits, take)
            try:
                return Asked.model_validate_json(bytes(content))
            except ValidationError as error:
                raise RequestValidationError(error.errors(include_url=False)) from None


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


def router(endpoints: Endpoints, door: Door) -> APIRouter:
    """Paths, what they need and what they answer."""
    router = APIRouter(generate_unique_id_function=lambda route: f"{route.name}_run")
    for method, path, endpoint, title, kind in (
        ("POST", "", endpoints.start, "Start a run", contract.STARTED),
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


async def _do(use: Callable[..., Result], *given: Any) -> Result:
    """Use the queue on another thread."""
    try:
        return await asyncio.to_thread(use, *given)
    except BonafideError as error:
        raise Problem(503, str(error), {"Retry-After": RETRY_SECONDS}) from error


def _subject(request: Request) -> str:
    return str(request.scope["state"].get("subject", ""))

"""The collector as one ASGI application."""

import asyncio
import logging
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.responses import Response

from bonafide.feedback.writer import Writer
from bonafide.serving.answer import Answer
from bonafide.serving.api import problems
from bonafide.serving.api.access import Access
from bonafide.serving.api.recorded import predictions
from bonafide.serving.collect import events, halves
from bonafide.serving.collect.halves import Asked
from bonafide.serving.collect.joining import Half, Joiner
from bonafide.serving.edge import body
from bonafide.serving.edge.body import Budget
from bonafide.serving.edge.limits import MIB, Limits
from bonafide.serving.edge.running import beside
from bonafide.serving.errors import RequestError
from bonafide.serving.known import Known
from bonafide.telemetry import metrics
from bonafide.telemetry.metrics import COLLECTED_EVENTS

LIMITS = Limits(held=128 * MIB)
LOOK_SECONDS = 1.0

logger = logging.getLogger(__name__)


class Collector:
    """Takes events and has what they tell kept."""

    def __init__(self, writer: Writer, limits: Limits) -> None:
        self._writer = writer
        self._limits = limits
        self._budget = Budget(limits.held)
        self._joiner = Joiner(self._keep)

    async def collect(self, request: Request) -> Response:
        """One event. KServe's logger takes every status but 200 for a failure."""
        with self._budget.share() as take:
            content = await body.read(request, self._limits, take)
            try:
                take(len(content))  # what is read from it
                event, half = await asyncio.to_thread(_read, request, content)
            except RequestError:
                COLLECTED_EVENTS.labels("malformed").inc()
                raise
        if half is None:
            COLLECTED_EVENTS.labels("ignored").inc()
        else:
            self._joiner.add(event.id, event.predictor, half)
        return Response()

    async def expire(self) -> None:
        """Give up on halves that wait too long, for ever."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self._joiner.expire()

    def finish(self) -> None:
        """Keep the answers that still wait."""
        self._joiner.expire(math.inf)

    def _keep(self, identity: str, predictor: str, answer: Answer, asked: Asked | None) -> None:
        """Whatever is wrong with one, the others are kept."""
        try:
            self._put(identity, predictor, answer, asked)
        except Exception:
            COLLECTED_EVENTS.labels("malformed").inc()
            logger.exception("an answer is not kept", extra={"event": identity})

    def _put(self, identity: str, predictor: str, answer: Answer, asked: Asked | None) -> None:
        about = asked.known(answer.columns) if asked else ()
        if len(about) != len(answer.names):
            about = [Known()] * len(answer.names)
        made = predictions(answer, about, identity, predictor=predictor)
        for prediction, each in zip(made, about, strict=True):
            self._writer.put(prediction, each.file)


def create_app(writer: Writer, limits: Limits = LIMITS) -> FastAPI:
    """The application; it starts ``writer`` and closes it."""
    collector = Collector(writer, limits)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        writer.start()
        try:
            async with beside([collector.expire]):
                yield
            collector.finish()
        finally:
            await asyncio.to_thread(writer.close)

    app = FastAPI(title="Bonafide collector", openapi_url=None, redirect_slashes=False, lifespan=lifespan)
    app.add_api_route("/", collector.collect, methods=["POST"], response_model=None)
    app.add_api_route("/health", _health, response_model=None)
    app.add_api_route("/metrics", _metrics, response_model=None)
    problems.install(app)
    app.add_middleware(Access)
    return app


def _read(request: Request, content: body.Buffer) -> tuple[events.Event, Half | None]:
    event = events.read(request.headers, content)
    if event.kind == "request":
        return event, halves.asked(event.data)
    return event, halves.answered(event.data)


async def _health() -> dict[str, str]:
    return {"status": "ok"}


async def _metrics(request: Request) -> Response:
    content, kind = metrics.exposed(request.headers.get("accept", ""))
    return Response(content, headers={"content-type": kind})

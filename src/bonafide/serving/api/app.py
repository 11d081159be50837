"""The service API as one ASGI application."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

import bonafide
from bonafide.modality import arm
from bonafide.serving.api import contract, hooks, page, problems, routes, runs
from bonafide.serving.api.access import Access
from bonafide.serving.api.door import Door
from bonafide.serving.api.recorded import Recorded
from bonafide.serving.api.settings import Settings
from bonafide.serving.api.topic import Topic
from bonafide.serving.api.upstream import Upstream
from bonafide.serving.edge.limits import MIB, Limits
from bonafide.serving.edge.running import beside

if TYPE_CHECKING:
    from bonafide.feedback.writer import Writer

LIMITS = Limits(held=128 * MIB)
READABLE = ("X-Request-ID", "RateLimit", "RateLimit-Policy", "Retry-After", "WWW-Authenticate")


def create_app(
    upstream: Upstream,
    settings: Settings,
    topic: Topic,
    limits: Limits = LIMITS,
    engine: str | None = None,
    writer: "Writer | None" = None,
) -> FastAPI:
    """The application; it closes ``upstream`` when it ends.

    Args:
        topic: what callers ask about, which decides the paths that answer with predictions.
        engine: where pipelines run that callers ask for, empty for this machine; None where they may not.
        writer: keeps each prediction, and is started and closed with the application; callers may then give
            feedback.

    Raises:
        ConfigError: the rate storage cannot be used.
    """
    door, predictions = Door(settings), arm(topic.modality, "paths")
    background: list[Callable[[], Awaitable[None]]] = []

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if writer:
            writer.start()
        async with beside(background):
            yield
        if writer:
            await asyncio.to_thread(writer.close)
        await upstream.close()
        await door.close()

    app = FastAPI(
        title="Bonafide",
        summary=topic.told,
        description=f"{predictions.DESCRIPTION} {contract.ERRORS}",
        version=bonafide.__version__,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    asked = Recorded(upstream, writer) if writer else upstream
    app.include_router(predictions.router(asked, door, limits, topic))
    app.include_router(routes.router(routes.Endpoints(asked)))
    if writer:
        from bonafide.feedback.inspections import Inspections
        from bonafide.feedback.reviews import Reviews
        from bonafide.serving.api import feedback

        reviews = Reviews(writer.store.database)
        inspections = Inspections(writer.store.database)
        background.append(partial(feedback.keep_telling, reviews, inspections))
        app.include_router(feedback.router(feedback.Endpoints(reviews, limits), door, topic))
    if engine is not None:
        background.append(runs.keep_working)
        app.include_router(runs.router(runs.Endpoints(engine, limits), door, topic))
        app.include_router(hooks.router(hooks.Endpoints(engine, settings.rest_hours, limits), door, topic))
    page.install(app)
    problems.install(app)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "X-Request-ID"],
            expose_headers=READABLE,
        )
    app.add_middleware(Access)
    return app

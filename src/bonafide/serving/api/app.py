"""The service API as one ASGI application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

import bonafide
from bonafide.serving.api import contract, hooks, page, problems, runs
from bonafide.serving.api.access import Access
from bonafide.serving.api.door import Door
from bonafide.serving.api.routes import Endpoints, router
from bonafide.serving.api.settings import Settings
from bonafide.serving.api.upstream import Upstream
from bonafide.serving.edge.limits import MIB, Limits
from bonafide.serving.edge.running import beside

LIMITS = Limits(held=128 * MIB)
READABLE = ("X-Request-ID", "RateLimit", "RateLimit-Policy", "Retry-After", "WWW-Authenticate")


def create_app(
    upstream: Upstream, settings: Settings, limits: Limits = LIMITS, engine: str | None = None
) -> FastAPI:
    """The application; it closes ``upstream`` when it ends.

    Args:
        engine: where pipelines run that callers ask for, empty for this machine; None where they may not.

    Raises:
        ConfigError: the rate storage cannot be used.
    """
    door = Door(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        background = [runs.keep_working] if engine is not None else []
        async with beside(background):
            yield
        await upstream.close()
        await door.close()

    app = FastAPI(
        title="Bonafide",
        summary="Detects AI-generated and altered images.",
        description=contract.DESCRIPTION,
        version=bonafide.__version__,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.include_router(router(Endpoints(upstream, door, limits), door))
    if engine is not None:
        app.include_router(runs.router(runs.Endpoints(engine, limits), door))
        app.include_router(hooks.router(hooks.Endpoints(engine, settings.rest_hours, limits), door))
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

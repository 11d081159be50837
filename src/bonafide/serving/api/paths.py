"""The paths that answer with predictions, whatever callers ask about."""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Security

from bonafide.serving.api.door import Door

ONE, BATCH, EXPLAIN = "/predict", "/predict/batch", "/predict/explain"


def router(tag: str, door: Door, *paths: tuple[str, Callable[..., Any], str, dict[str, Any]]) -> APIRouter:
    """Paths behind the door, each with an endpoint, whose name is the scope, a title and its contract."""
    router = APIRouter(generate_unique_id_function=lambda route: route.name)
    for path, endpoint, title, kind in paths:
        router.add_api_route(
            path,
            endpoint,
            methods=["POST"],
            summary=title,
            tags=[tag],
            dependencies=[Security(door.admit, scopes=[endpoint.__name__])],
            response_model_exclude_none=True,
            **kind,
        )
    return router

"""Feedback by request: which label a person says is right."""

import asyncio
import logging
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, TypeVar

from fastapi import APIRouter, Request, Security
from fastapi.responses import Response

from bonafide.feedback.errors import ContradictionError, StoreError, UnknownError
from bonafide.feedback.inspections import Inspections, hide, show
from bonafide.feedback.opinion import Feedback
from bonafide.feedback.reviews import Reviews
from bonafide.serving.api import contract
from bonafide.serving.api.aside import Aside
from bonafide.serving.api.door import Door
from bonafide.serving.api.payload import Payloads, subject
from bonafide.serving.api.problems import Problem
from bonafide.serving.api.schemas import Opinion
from bonafide.serving.api.topic import Topic
from bonafide.serving.edge.limits import Limits
from bonafide.telemetry import metrics

BODY_BYTES = 16 * 1024
AT_ONCE = 64
THREADS = 4
RETRY_SECONDS = "5"
TELL_SECONDS = 15
TOLD_FOR = timedelta(days=30)  # of a task that nobody looks at any more
NOBODY = "anonymous"
_ID = re.compile(r"[0-9a-f]{32}")
logger = logging.getLogger(__name__)

_store = Aside("the store", THREADS, AT_ONCE)

Result = TypeVar("Result")


class Endpoints:
    """What each path does."""

    def __init__(self, reviews: Reviews, limits: Limits) -> None:
        self._reviews = reviews
        self._payloads = Payloads(limits, BODY_BYTES)

    async def file(self, request: Request, response: Response) -> Feedback:
        """Say which label the input of a prediction has.

        A reviewer, the token's subject, has one word on a prediction: to say the same again changes nothing,
        and to say something else changes it, until somebody has decided about it.
        """
        opinion = await self._payloads.read(request, Opinion)
        reviewer = subject(request) or NOBODY
        given = (opinion.prediction_id, opinion.label, reviewer, opinion.note)
        filed, new = await _do(self._reviews.file, *given)
        response.status_code = HTTPStatus.CREATED if new else HTTPStatus.OK
        response.headers["location"] = f"/feedback/{filed.id}"
        return filed

    async def look(self, feedback: str) -> Feedback:
        """How it stands: new, confirmed or rejected."""
        found = await _do(self._reviews.find, feedback) if _ID.fullmatch(feedback) else None
        if found is None:
            raise Problem(404, f"there is no feedback {feedback!r}")
        return found


async def keep_telling(reviews: Reviews, inspections: Inspections) -> None:
    """Set the gauges of what the store knows, now and later: feedback that waits, drift, quality."""
    told, shown = set[str](), set[str]()
    while True:
        try:
            waiting = await asyncio.to_thread(reviews.waiting)
            told |= waiting.keys()
            for task in told:
                metrics.FEEDBACK_WAITING.labels(task).set(waiting.get(task, 0))
            since = datetime.now(UTC) - TOLD_FOR
            last = {found.task: found for found in await asyncio.to_thread(inspections.last, since)}
            for task in shown - last.keys():
                hide(task)
            for found in last.values():
                show(found)
            shown = {*last}
        except Exception:
            logger.exception("what the store knows is not told")
        await asyncio.sleep(TELL_SECONDS)


def router(endpoints: Endpoints, door: Door, topic: Topic) -> APIRouter:
    """Paths, what they need and what they answer."""
    router = APIRouter(generate_unique_id_function=lambda route: f"{route.name}_feedback")
    for method, path, endpoint, title, kind in (
        ("POST", "/feedback", endpoints.file, "Say which label is right", contract.filed(topic)),
        ("GET", "/feedback/{feedback}", endpoints.look, "One feedback", contract.FEEDBACK),
    ):
        router.add_api_route(
            path,
            endpoint,
            methods=[method],
            summary=title,
            tags=["feedback"],
            dependencies=[Security(door.admit, scopes=["feedback"])],
            **kind,
        )
    return router


async def _do(use: Callable[..., Result], *given: Any) -> Result:
    """Use the store on another thread.

    Raises:
        Problem: 404, 409; 503, it does not answer.
        Overloaded: too many requests wait for it.
    """
    try:
        return await _store.do(use, *given)
    except UnknownError as error:
        raise Problem(404, str(error)) from error
    except ContradictionError as error:
        raise Problem(409, str(error)) from error
    except StoreError as error:
        detail = "the store of predictions does not answer; try again"
        raise Problem(503, detail, {"Retry-After": RETRY_SECONDS}) from error

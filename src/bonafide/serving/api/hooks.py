"""Alertmanager's web hook: an alert that asks for training starts a run, however often it is sent."""

import logging
from typing import get_args

from fastapi import APIRouter, Request, Security
from pydantic import ValidationError

from bonafide.errors import ConfigError
from bonafide.queue import Queue, Run
from bonafide.serving.api import contract, runs
from bonafide.serving.api.door import Door
from bonafide.serving.api.payload import Payloads, subject
from bonafide.serving.api.schemas import Alert, Asked, Handled, Notification, Outcome, Outcomes
from bonafide.serving.api.topic import Topic
from bonafide.serving.edge.limits import Limits
from bonafide.task import load_task
from bonafide.telemetry import metrics

ACTION, TASK, NAME = "bonafide_action", "task", "alertname"
NAMELESS = "nameless"  # a run of an alert is told from others by the alert's name
PIPELINES = {"retrain": "monitoring"}
BODY_BYTES = 256 * 1024
HOUR = 3600
logger = logging.getLogger(__name__)


class Endpoints:
    """What the path does; runs go to ``engine``, or are performed on this machine where it is empty.

    Args:
        rest_hours: within which alerts start one run of a task.
    """

    def __init__(self, engine: str, rest_hours: float, limits: Limits) -> None:
        self._engine = engine
        self._rest = rest_hours * HOUR
        self._payloads = Payloads(limits, BODY_BYTES)
        self._queue = Queue()
        for outcome in get_args(Outcome):
            metrics.HOOK_ALERTS.labels(outcome)

    async def alertmanager(self, request: Request) -> Outcomes:
        """Start a run for each task that a firing alert with the label `bonafide_action` names.

        There is one at a time, and one in a while: what is sent again, or by another group, starts nothing.
        """
        told = await self._payloads.read(request, Notification)
        return Outcomes(alerts=await runs.do(self._handle_all, told, subject(request)))

    def _handle_all(self, told: Notification, sender: str) -> list[Handled]:
        return [self._counted(self._handle(alert, sender)) for alert in told.alerts]

    def _counted(self, handled: Handled) -> Handled:
        """At once: the queue may be full for the next."""
        metrics.HOOK_ALERTS.labels(handled.outcome).inc()
        if handled.outcome != "ignored":
            logger.info("an alert asks for a run", extra=handled.model_dump())
        return handled

    def _handle(self, alert: Alert, sender: str) -> Handled:
        name, action = alert.labels.get(NAME) or NAMELESS, alert.labels.get(ACTION, "")
        if alert.status != "firing" or not action:
            return Handled(alert=name, outcome="ignored")
        try:
            task = Asked(task=alert.labels.get(TASK, "")).task
            load_task(task)
            pipeline = PIPELINES[action]
        except ValidationError:
            return Handled(alert=name, outcome="refused", why=f"the label {TASK} is no task's name")
        except ConfigError as error:
            return Handled(alert=name, outcome="refused", why=str(error))
        except KeyError:
            known = ", ".join(PIPELINES)
            return Handled(alert=name, outcome="refused", why=f"{ACTION} is {action!r}; there is {known}")
        asked = Run(pipeline=pipeline, task=task, engine=self._engine, subject=sender, alert=name)
        run = self._queue.add_for_alert(asked, self._rest)
        if run.id != asked.id:
            return Handled(alert=name, task=task, run=run.id, outcome="resting" if run.has_ended else "busy")
        self._queue.wake(task)
        return Handled(alert=name, task=task, run=run.id, outcome="started")


def router(endpoints: Endpoints, door: Door, topic: Topic) -> APIRouter:
    """The path, what it needs and what it answers."""
    router = APIRouter(generate_unique_id_function=lambda route: f"{route.name}_hook")
    router.add_api_route(
        "/hooks/alertmanager",
        endpoints.alertmanager,
        methods=["POST"],
        summary="Alerts of Alertmanager",
        tags=["pipelines"],
        dependencies=[Security(door.admit, scopes=["alerts"])],
        response_model_exclude_none=True,
        **contract.hooked(topic),
    )
    return router

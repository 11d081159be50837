"""What every environment serves, and how its rollout goes."""

from dataclasses import dataclass
from datetime import UTC, datetime

from bonafide.delivery.checkout import Checkout, checkout
from bonafide.delivery.repository import (
    FIRST_PARENT,
    earlier,
    environments,
    history,
    read_service,
    read_settings,
    tasks,
)


@dataclass(frozen=True)
class Status:
    """One environment of one task.

    Attributes:
        canary: empty without a rollout; ``weight`` is its share in percent.
        since: when what serves last changed.
        verdict: what the last change of a rollout said; empty before any.
    """

    task: str
    environment: str
    stable: str
    canary: str
    weight: int
    paused: bool
    since: datetime
    verdict: str


def statuses(place: str) -> list[Status]:
    """All environments of all tasks, each task's in the order that a version goes through them.

    Raises:
        DeliveryError: the repository cannot be reached, or holds what is no InferenceService of ours.
    """
    with checkout(place) as delivery:
        return [
            _status(delivery, environment, task)
            for task in tasks(delivery)
            for environment in environments(delivery, task)
        ]


def _status(delivery: Checkout, environment: str, task: str) -> Status:
    service = read_service(delivery, environment, task)
    settings = read_settings(delivery, environment, task)
    assert service
    changed, _ = next(earlier(delivery, environment, task, **FIRST_PARENT))
    told = (told for _, told in history(delivery, environment, task))
    return Status(
        task=task,
        environment=environment,
        stable=service.stable.version,
        canary=service.canary.version if service.canary else "",
        weight=service.weight,
        paused=bool(settings and settings.paused),
        since=changed.committed_datetime.astimezone(UTC),
        verdict=next((each["Verdict"] for each in told if "Verdict" in each), ""),
    )

"""A rollout as Git has it: settings, who serves, and when each step began."""

from datetime import UTC, datetime

from bonafide.delivery.checkout import Checkout
from bonafide.delivery.repository import (
    FIRST_PARENT,
    earlier,
    folder_of,
    read_service,
    read_settings,
    refuse_unknown,
)
from bonafide.delivery.rollout.decide import Rollout
from bonafide.delivery.rollout.settings import SETTINGS, parse_settings
from bonafide.delivery.service import Service
from bonafide.errors import ConfigError, DeliveryError


def read_rollout(delivery: Checkout, environment: str, task: str) -> tuple[Rollout, Service] | None:
    """The rollout that is open in an environment, and its InferenceService; None if none is.

    A step begins with the commit that gave the canary its share, whoever made it, or with its merge.

    Raises:
        ConfigError: the settings are not valid.
        DeliveryError: they are missing, or the InferenceService is none that Bonafide wrote.
    """
    refuse_unknown(delivery, environment)
    service = read_service(delivery, environment, task)
    if service is None or service.canary is None:
        return None
    settings = read_settings(delivery, environment, task)
    if settings is None:
        raise DeliveryError(
            f"{folder_of(environment, task) / SETTINGS} is missing, and version {service.canary.version} is "
            "on trial; put the file back, or end the trial: bonafide rollback"
        )
    steps = _steps(delivery, environment, task, service)
    rollout = Rollout(
        settings=settings,
        stable=service.stable.version,
        canary=service.canary.version,
        weight=service.weight,
        replicas=service.replicas,
        steps=tuple(began for _, began in steps),
        weights=tuple(weight for weight, _ in steps),
        resumed=_resumed(delivery, environment, task),
    )
    return rollout, service


def _steps(delivery: Checkout, environment: str, task: str, now: Service) -> list[tuple[int, datetime]]:
    """The canary's shares so far and when each began, the oldest first."""
    steps: list[tuple[int, datetime]] = []
    for commit, then in earlier(delivery, environment, task, **FIRST_PARENT):
        if (then.canary, then.stable) != (now.canary, now.stable):
            break
        step = then.weight, commit.committed_datetime.astimezone(UTC)
        steps = [step, *(steps[1:] if steps and steps[0][0] == then.weight else steps)]
    return steps


def _resumed(delivery: Checkout, environment: str, task: str) -> datetime | None:
    """When a person last ended a pause."""
    path, went_on = (folder_of(environment, task) / SETTINGS).as_posix(), None
    for commit in delivery.repository.iter_commits(paths=path, **FIRST_PARENT):
        try:
            paused = parse_settings((commit.tree / path).data_stream.read().decode(), path).paused
        except (ConfigError, KeyError, UnicodeDecodeError):
            continue
        if paused:
            return went_on
        went_on = commit.committed_datetime.astimezone(UTC)
    return None

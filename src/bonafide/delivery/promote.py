"""The promote step: a registered version goes into service."""

from pathlib import Path

from bonafide.delivery.repository import Promotion, promote
from bonafide.errors import DeliveryError
from bonafide.files import lock
from bonafide.home import home
from bonafide.registry.versions import NONE, Version, champion, crown, get


def promote_version(task: str, number: str, folder: Path, environment: str) -> str:
    """Commit the version to the delivery folder, then make it the champion.

    In this order a kill in between is mended by running again: the commit is found, the alias is moved. Two
    promotions at once on one machine follow one another, and the second finds its judgement stale.

    Returns:
        the promotion's commit.

    Raises:
        DeliveryError: since the version was judged another one went into service.
    """
    with lock(home() / "promote.lock"):
        version = get(task, number)
        _refuse_stale(version, champion(task))
        commit = promote(folder, environment, _promotion(version))
        crown(version)
    return commit


def _refuse_stale(version: Version, in_service: Version | None) -> None:
    judged, now = version.tags["champion"], in_service.number if in_service else NONE
    if now in (judged, version.number):
        return
    against = "when none was in service" if judged == NONE else f"against version {judged}"
    between = f"version {now} is" if in_service else "none is"
    raise DeliveryError(
        f"version {version.number} of {version.task} was judged {against}, but {between} in service now; "
        "run the pipeline again, which judges it against what is in service"
    )


def _promotion(version: Version) -> Promotion:
    return Promotion(
        task=version.task,
        version=version.number,
        package_uri=version.uri,
        run=version.run,
        model_digest=version.tags["model_digest"],
        data_digest=version.tags["data_digest"],
        code_version=version.tags["code_version"],
        gate=version.tags["gate"],
    )

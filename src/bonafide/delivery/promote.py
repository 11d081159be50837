"""The promote step: a registered version goes into service."""

from contextlib import suppress
from pathlib import Path

from bonafide.delivery.repository import Promotion, last_promotion, promote
from bonafide.errors import DeliveryError
from bonafide.files import lock
from bonafide.home import home
from bonafide.registry.versions import NONE, Version, champion, crown, get


def promote_version(task: str, number: str, folder: Path, environment: str) -> str:
    """Commit the version to the delivery folder, then make it the champion.

    In this order a kill in between is mended by the next promotion, of whatever version: it moves the alias
    first. Two promotions at once on one machine follow one another, and the second finds its judgement stale.

    Returns:
        the promotion's commit.

    Raises:
        DeliveryError: since the version was judged another one went into service.
    """
    with lock(home() / "promote.lock"):
        _finish_last(task, folder)
        version = get(task, number)
        _refuse_stale(version, champion(task))
        commit = promote(folder, environment, _promotion(version))
        crown(version)
    return commit


def _finish_last(task: str, folder: Path) -> None:
    """Crown what Git says was promoted last, if a kill came between the commit and the alias."""
    last = last_promotion(folder, task)
    if not last:
        return
    number = last["Model-Version"].rpartition("/")[2]
    with suppress(DeliveryError):  # a version of another registry
        promoted = get(task, number)
        if promoted.tags.get("package_digest") == last.get("Package-Digest"):
            crown(promoted)


def _refuse_stale(version: Version, in_service: Version | None) -> None:
    judged, now = version.tags.get("champion"), in_service.number if in_service else NONE
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
        package_digest=version.tags["package_digest"],
        code_version=version.tags["code_version"],
        gate=version.tags["gate"],
    )

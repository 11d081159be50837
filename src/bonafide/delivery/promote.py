"""The promote step: a registered version goes into service."""

from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from bonafide.delivery.checkout import Checkout, checkout
from bonafide.delivery.repository import Promotion, last_promotion, promote
from bonafide.errors import DeliveryError
from bonafide.files import lock
from bonafide.home import OCI, PACKAGES, home, is_remote, without_secrets
from bonafide.registry.packages import PINNED
from bonafide.registry.versions import NONE, Version, champion, crown, get

ATTEMPTS = 5
# What KServe cannot fetch: files of this machine, and what an MLflow server keeps to itself.
UNREACHABLE = ("", "file", "mlflow-artifacts")
REACHABLE = (
    "start the MLflow server with --no-serve-artifacts --default-artifact-root s3://… or gs://…, "
    f"or name a container registry in {PACKAGES}"
)


def promote_version(task: str, number: str, place: str, environment: str) -> str:
    """Commit the version to the delivery repository at ``place``, then make it the champion.

    In this order a kill in between is mended by the next promotion, of whatever version: it moves the alias
    first. Of two promotions at once one comes first, on one machine by a lock and between machines by Git,
    and the second finds its judgement stale.

    Returns:
        the promotion's commit.

    Raises:
        DeliveryError: another version went into service since this one was judged, its package lies where no
            cluster can fetch it or may change, or the commit could not be pushed.
    """
    with lock(home() / "promote.lock"), checkout(place) as delivery:
        for _ in range(ATTEMPTS):
            _finish_last(task, delivery)
            version = get(task, number)
            _refuse_stale(version, champion(task))
            _refuse_unreachable(version, delivery)
            commit = promote(delivery, environment, _promotion(version))
            if _published(delivery, version, environment):
                crown(version)
                return commit
    raise DeliveryError(
        f"{without_secrets(place)} moved {ATTEMPTS} times meanwhile; "
        f"version {number} of {task} was not delivered to {environment}: run it again"
    )


def catch_up(task: str, place: str) -> None:
    """Crown what the delivery repository says is in service, if a promotion was cut off before that.

    Raises:
        DeliveryError: the repository or the registry cannot be reached.
    """
    if is_remote(place) or Path(place, ".git").exists():
        with lock(home() / "promote.lock"), checkout(place) as delivery:
            _finish_last(task, delivery)


def _published(delivery: Checkout, version: Version, environment: str) -> bool:
    try:
        return delivery.publish()
    except DeliveryError as error:
        raise DeliveryError(
            f"{error}; version {version.number} of {version.task} was not delivered to {environment}: "
            "mend it and promote the version again"
        ) from error


def _finish_last(task: str, delivery: Checkout) -> None:
    """Crown what Git says was promoted last, if a kill came between the commit and the alias."""
    last = last_promotion(delivery, task)
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


def _refuse_unreachable(version: Version, delivery: Checkout) -> None:
    if delivery.origin and urlsplit(version.uri).scheme in UNREACHABLE:
        raise DeliveryError(
            f"the package of {version.task} version {version.number} lies at {version.uri}, where no cluster "
            f"can fetch it; {REACHABLE}"
        )
    if version.uri.startswith(OCI) and not PINNED.search(version.uri):
        raise DeliveryError(
            f"the package of {version.task} version {version.number} is {version.uri}, which has no digest "
            "and can stand for another image tomorrow; register the package: bonafide model register"
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

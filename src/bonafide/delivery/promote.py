"""The promote step: a registered version goes into service."""

from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from bonafide.delivery.checkout import Checkout, checkout
from bonafide.delivery.repository import ORDER, Promotion, environments, promote, read_service, rolled_back
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


def promote_version(task: str, number: str, place: str, environment: str, again: bool = False) -> str:
    """Commit the version to the delivery repository at ``place``; the registry's champion follows.

    In this order a kill in between is mended by the next promotion, of whatever version: it moves the alias
    first. Of two promotions at once one comes first, on one machine by a lock and between machines by Git,
    and the second finds its judgement stale.

    Args:
        again: also a package that was rolled back there.

    Returns:
        the promotion's commit.

    Raises:
        DeliveryError: another version went into service since this one was judged, it does not serve in the
            environment before, it was rolled back, its package lies where no cluster can fetch it or may
            change, or the commit could not be pushed.
    """
    with lock(home() / "promote.lock"), checkout(place) as delivery:
        for _ in range(ATTEMPTS):
            commit = commit_promotion(delivery, task, number, environment, again)
            if _published(delivery, task, number, environment):
                follow(delivery, task)
                return commit
    raise DeliveryError(
        f"{without_secrets(place)} moved {ATTEMPTS} times meanwhile; "
        f"version {number} of {task} was not delivered to {environment}: run it again"
    )


def commit_promotion(delivery: Checkout, task: str, number: str, environment: str, again: bool) -> str:
    """Commit the version's promotion if all checks allow it; the commit is still to be published.

    Returns:
        the commit that holds the promotion, new or not.

    Raises:
        DeliveryError: as for :func:`promote_version`.
    """
    follow(delivery, task)
    version = get(task, number)
    _refuse_stale(version, champion(task))
    _refuse_unreachable(version, delivery)
    _refuse_out_of_order(version, delivery, environment)
    if not again:
        _refuse_rolled_back(version, delivery, environment)
    return promote(delivery, environment, _promotion(version))


def catch_up(task: str, place: str) -> None:
    """Crown what the delivery repository says is in service, if a promotion was cut off before that.

    Raises:
        DeliveryError: the repository or the registry cannot be reached.
    """
    if is_remote(place) or Path(place, ".git").exists():
        with lock(home() / "promote.lock"), checkout(place) as delivery:
            follow(delivery, task)


def follow(delivery: Checkout, task: str) -> None:
    """Make champion what has all traffic, or the most, in the last environment that serves the task."""
    if serving := environments(delivery, task):
        service = read_service(delivery, serving[-1], task)
        assert service
        with suppress(DeliveryError):  # a version of another registry
            version = get(task, service.stable.version)
            if version.uri == service.stable.package_uri:
                crown(version)


def _published(delivery: Checkout, task: str, number: str, environment: str) -> bool:
    try:
        return delivery.publish()
    except DeliveryError as error:
        raise DeliveryError(
            f"{error}; version {number} of {task} was not delivered to {environment}: "
            "mend it and promote the version again"
        ) from error


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


def _refuse_out_of_order(version: Version, delivery: Checkout, environment: str) -> None:
    order = [name for name in environments(delivery, version.task) if name in ORDER]
    earlier = [name for name in order if environment in ORDER[ORDER.index(name) + 1 :]]
    service = read_service(delivery, earlier[-1], version.task) if earlier else None
    if service and service.stable.package_uri != version.uri:
        raise DeliveryError(
            f"version {version.number} of {version.task} does not serve in {earlier[-1]}, which comes before "
            f"{environment}: version {service.stable.version} does; promote it there first"
        )


def _refuse_rolled_back(version: Version, delivery: Checkout, environment: str) -> None:
    if version.tags["package_digest"] in rolled_back(delivery, environment, version.task):
        raise DeliveryError(
            f"version {version.number} of {version.task} was rolled back in {environment}; the reasons are "
            "in the evidence beside its InferenceService; promote it with --again to try the same bytes again"
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

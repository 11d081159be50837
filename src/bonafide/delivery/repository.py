"""The delivery repository, whose commits are the promotions."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bonafide.delivery.checkout import Checkout
from bonafide.delivery.manifests import inference_service, kustomization, to_yaml
from bonafide.delivery.modes import parse_service
from bonafide.delivery.overlay import overlay
from bonafide.delivery.rollout.settings import SETTINGS, RolloutSettings, parse_settings
from bonafide.delivery.service import Served, Service
from bonafide.errors import DeliveryError

if TYPE_CHECKING:
    from git import Commit

SERVICE = "inferenceservice.yaml"
ENVIRONMENTS = Path("environments")
# The order that a version goes through environments in; those of other names come before.
ORDER = ("dev", "staging", "prod")
# Which commits Git tells of; by itself it follows only one parent of a merge that is equal to it.
FIRST_PARENT = {"first_parent": True}
ALL_PARENTS = {"full_history": True, "topo_order": True}
PACKAGE_DIGEST, ROLLED_BACK = "Package-Digest", "Rolled-Back"


@dataclass(frozen=True)
class Promotion:
    """What is promoted, and why it may be."""

    task: str
    version: str
    package_uri: str
    run: str
    model_digest: str
    data_digest: str
    package_digest: str
    code_version: str
    gate: str

    @property
    def served(self) -> Served:
        """What a predictor of it needs."""
        return Served(self.version, self.package_uri)

    def message(self, did: str, environment: str) -> str:
        """The commit message; its trailers are what audits read."""
        trailers = {
            "Model-Version": f"{self.task}/{self.version}",
            "Model-Digest": self.model_digest,
            "Run": self.run,
            "Data-Digest": self.data_digest,
            PACKAGE_DIGEST: self.package_digest,
            "Code-Version": self.code_version,
            "Gate": self.gate,
            "Environment": environment,
        }
        return message(f"{did} {self.task} version {self.version} in {environment}", trailers)


def message(subject: str, trailers: Mapping[str, str]) -> str:
    """A commit's message: a line, and trailers that audits read."""
    lines = "\n".join(f"{name}: {value}" for name, value in trailers.items())
    return f"{subject}\n\n{lines}\n"


def folder_of(environment: str, task: str) -> Path:
    """Where an environment's files of a task lie in the repository."""
    return ENVIRONMENTS / environment / task


def read_service(delivery: Checkout, environment: str, task: str) -> Service | None:
    """An environment's InferenceService as it was last committed; None before the first promotion.

    Raises:
        DeliveryError: it is none that Bonafide wrote.
    """
    path = folder_of(environment, task) / SERVICE
    text = delivery.read(path)
    return None if text is None else parse_service(text, str(path))


def read_settings(delivery: Checkout, environment: str, task: str) -> RolloutSettings | None:
    """How a new version takes over; None where it does so at once, without a ``rollout.yaml``.

    Raises:
        ConfigError: the settings are not valid.
    """
    path = folder_of(environment, task) / SETTINGS
    text = delivery.read(path)
    return None if text is None else parse_settings(text, str(path))


def promote(delivery: Checkout, environment: str, promotion: Promotion) -> str:
    """Bring a model version into an environment, as one commit that is still to be published.

    Where there is a ``rollout.yaml``, the version starts as a canary at its first step; else, and where
    nothing serves yet, it gets all traffic. Promoting what is already there changes nothing.

    Returns:
        the commit that holds the promotion.

    Raises:
        DeliveryError: another canary is on trial, Git cannot be used, or somebody left changes in the folder.
    """
    refuse_unknown(delivery, environment)
    folder, namespace = folder_of(environment, promotion.task), f"bonafide-{environment}"
    service = read_service(delivery, environment, promotion.task)
    settings = read_settings(delivery, environment, promotion.task)
    did, files = "Promote", dict[Path, str]()
    if service is None:
        made = inference_service(promotion.task, promotion.version, promotion.package_uri, namespace)
        common, files = overlay(delivery, environment)
        files[folder / "kustomization.yaml"] = to_yaml(kustomization(namespace, common))
        files[folder / SERVICE] = to_yaml(made)
    elif promotion.served not in (service.stable, service.canary):
        if settings:
            _refuse_second_canary(service, promotion, environment)
            service.open(promotion.served, settings.steps[0])
            did = "Open the rollout of"
        else:
            service.replace(promotion.served)
        files[folder / SERVICE] = service.text
    if files:
        delivery.change(files, promotion.message(did, environment))
    return last_change(delivery, environment, promotion.task)


def last_change(delivery: Checkout, environment: str, task: str) -> str:
    """The commit that last changed what an environment serves."""
    commit, _ = next(history(delivery, environment, task))
    return str(commit.hexsha)


def earlier(
    delivery: Checkout, environment: str, task: str, **which: bool
) -> Iterator[tuple["Commit", Service]]:
    """What an environment served after each commit, the newest first; what a person broke is left out.

    Args:
        which: ``FIRST_PARENT`` so that a branch counts from its merge on, because what it holds may have
            waited for days; or ``ALL_PARENTS`` for all that was ever there.
    """
    path = (folder_of(environment, task) / SERVICE).as_posix()
    for commit in delivery.repository.iter_commits(paths=path, **which):
        with suppress(DeliveryError, KeyError, UnicodeDecodeError):
            yield commit, parse_service((commit.tree / path).data_stream.read().decode(), path)


def tasks(delivery: Checkout) -> list[str]:
    """Those that any environment serves."""
    tree = delivery.repository.head.commit.tree
    return sorted(
        {Path(blob.path).parent.name for blob in tree.traverse() if blob.path.endswith(f"/{SERVICE}")}
    )


def refuse_unknown(delivery: Checkout, environment: str) -> None:
    """Stop at a name that is no environment.

    Raises:
        DeliveryError: it is none of the three, and the repository has no folder of that name.
    """
    tree = delivery.repository.head.commit.tree
    if environment in ORDER or (ENVIRONMENTS / environment).as_posix() in (
        each.path for each in tree.traverse()
    ):
        return
    raise DeliveryError(
        f"there is no environment {environment!r}: give {', '.join(ORDER)}, or commit a folder "
        f"{ENVIRONMENTS / environment} for one of your own"
    )


def environments(delivery: Checkout, task: str) -> list[str]:
    """Those that serve a task, in the order that a version goes through them."""
    tree = delivery.repository.head.commit.tree
    try:
        names = [each.name for each in (tree / ENVIRONMENTS.as_posix()).trees]
    except KeyError:
        return []
    ordered = sorted(names, key=lambda name: (ORDER.index(name) if name in ORDER else -1, name))
    return [name for name in ordered if delivery.read(folder_of(name, task) / SERVICE) is not None]


def rolled_back(delivery: Checkout, environment: str, task: str) -> set[str]:
    """The digests of the packages that were rolled back in an environment."""
    found = history(delivery, environment, task, **ALL_PARENTS)
    return {told[ROLLED_BACK] for _, told in found if ROLLED_BACK in told}


def package_digest(delivery: Checkout, environment: str, task: str, version: str) -> str:
    """Of a version that was promoted in an environment; empty if no commit names it."""
    name = f"{task}/{version}"
    past = history(delivery, environment, task, **ALL_PARENTS)
    found = (told for _, told in past if told.get("Model-Version") == name)
    return next((told[PACKAGE_DIGEST] for told in found if PACKAGE_DIGEST in told), "")


def history(
    delivery: Checkout, environment: str, task: str, **which: bool
) -> Iterator[tuple["Commit", dict[str, str]]]:
    """The commits that changed what an environment serves, with their trailers, the newest first.

    Args:
        which: ``ALL_PARENTS`` for all that ever did; without it, those that what serves now comes from.
    """
    path = folder_of(environment, task) / SERVICE
    for commit in delivery.repository.iter_commits(paths=path.as_posix(), **which):
        yield commit, trailers(commit)


def trailers(commit: "Commit") -> dict[str, str]:
    """A commit's trailers by name."""
    lines = str(commit.message).splitlines()
    return {name: value for name, colon, value in (line.partition(": ") for line in lines) if colon}


def _refuse_second_canary(service: Service, promotion: Promotion, environment: str) -> None:
    if service.canary:
        raise DeliveryError(
            f"version {service.canary.version} of {promotion.task} is on trial in {environment}; wait for "
            f"its end, or end it: bonafide rollback --task {promotion.task} --env {environment}"
        )
    if service.stable.version == promotion.version:
        raise DeliveryError(
            f"another package serves {promotion.task} in {environment} as version {promotion.version}; "
            "predictors are told apart by their versions, so register this one once more"
        )

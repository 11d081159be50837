"""Registered versions of a model, found by number or by the aliases champion, challenger and rollback."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bonafide.errors import DeliveryError
from bonafide.registry.tracking import answering, client

CHAMPION, CHALLENGER, ROLLBACK = "champion", "challenger", "rollback"
REPORTS, PLACEMENT = "reports", "placement.parquet"
NONE = "none"
UNKNOWN = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


@dataclass(frozen=True)
class Version:
    """A registered version; ``uri`` is where its package lies and, like ``tags``, never changes."""

    task: str
    number: str
    uri: str
    run: str
    tags: dict[str, str]

    @property
    def reports(self) -> str:
        """The folder of its reports among the artifacts of its run."""
        return f"{REPORTS}/{self.tags.get('package_digest', '')}"


def champion(task: str) -> Version | None:
    """The version in service, or None before the first promotion.

    Raises:
        DeliveryError: there is no registry, or it does not answer; as everywhere here.
    """
    number = _aliases(task).get(CHAMPION)
    return get(task, number) if number else None


@answering()
def get(task: str, number: str) -> Version:
    """One registered version.

    Raises:
        DeliveryError: there is none of that number.
    """
    from mlflow.exceptions import MlflowException

    try:
        return version_of(client().get_model_version(task, number))
    except MlflowException as error:
        if error.error_code in UNKNOWN:
            raise DeliveryError(f"{task} has no version {number!r}; register a package first") from error
        raise


def named(task: str, alias: str) -> str:
    """The number of the version that ``alias`` names now.

    Raises:
        DeliveryError: it names none.
    """
    number = _aliases(task).get(alias)
    if number is None:
        raise DeliveryError(f"{task} has no version {alias}; train and promote one first")
    return number


def chosen(task: str, number: str = "") -> Version:
    """The registered version of that number, or the one in service if none is given.

    Raises:
        DeliveryError: there is none.
    """
    found = get(task, number) if number else champion(task)
    if found is None:
        raise DeliveryError(f"no version of {task} is in service; train a model first: make demo")
    return found


@answering()
def placement(task: str, number: str, out: Path) -> Path | None:
    """Fetch into ``out`` which group of images is in which split of a version's dataset.

    Returns:
        the Parquet file, or None if no number is given or the version has no such file.
    """
    if not number:
        return None
    version = get(task, number)
    name = f"{version.reports}/{PLACEMENT}"
    if name not in {file.path for file in client().list_artifacts(version.run, version.reports)}:
        return None
    return Path(client().download_artifacts(version.run, name, str(out)))


@answering()
def crown(version: Version) -> None:
    """Make ``version`` the champion; the one before it stays reachable as rollback."""
    mlflow, before = client(), _aliases(version.task)
    if before.get(CHAMPION) != version.number:
        if CHAMPION in before:
            mlflow.set_registered_model_alias(version.task, ROLLBACK, before[CHAMPION])
        mlflow.set_registered_model_alias(version.task, CHAMPION, version.number)
    if before.get(CHALLENGER) == version.number:
        mlflow.delete_registered_model_alias(version.task, CHALLENGER)


def version_of(found: Any) -> Version:
    """MLflow's model version as ours."""
    return Version(found.name, str(found.version), found.source, found.run_id or "", dict(found.tags))


@answering()
def _aliases(task: str) -> dict[str, str]:
    """Version numbers by alias; empty for a model that the registry does not list.

    A list is asked for, because a look-up that fails does not tell an absent alias from a wrong question.
    """
    found = client().search_registered_models(f"name = '{task}'")
    return {alias: str(number) for model in found for alias, number in model.aliases.items()}

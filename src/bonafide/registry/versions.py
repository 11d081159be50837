"""Registered models: versions with lineage, and the aliases champion, challenger and rollback."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bonafide.data.dataset import INFO
from bonafide.errors import DeliveryError
from bonafide.evaluation.evaluate import EVALUATION_REPORT, MEASURED, read_measured
from bonafide.evaluation.gate import GATE_REPORT, read_verdict
from bonafide.model.package import PackageInfo, verify
from bonafide.registry.tracking import client, experiment

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHAMPION, CHALLENGER, ROLLBACK = "champion", "challenger", "rollback"
PACKAGE = "package"
UNKNOWN = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


@dataclass(frozen=True)
class Version:
    """A registered version: ``package`` is where its files are on this machine, ``uri`` never changes."""

    task: str
    number: str
    uri: str
    run: str
    package: Path
    tags: dict[str, str]


def champion(task: str) -> Version | None:
    """The version in service, or None before the first promotion."""
    from mlflow.exceptions import MlflowException

    try:
        return _version(client().get_model_version_by_alias(task, CHAMPION))
    except MlflowException as error:
        if error.error_code in UNKNOWN:
            return None
        raise


def champion_package(task: str) -> tuple[str, Path] | None:
    """Version and package of the model in service, or None before the first promotion."""
    found = champion(task)
    return (found.number, found.package) if found else None


def register(package: Path, dataset: Path, evaluation: Path, gate: Path, public_key: Path) -> Version:
    """Record a verified package with its lineage and reports, and make it the challenger.

    The same model on the same data is registered once: a repeated run gets the version that is there.

    Raises:
        PackageError: the package does not hold.
    """
    info = verify(package, public_key)
    mlflow = client()
    known = _find(mlflow, info)
    if known:
        _challenge(mlflow, known)
        return _version(known)
    run = info.run_id or mlflow.create_run(experiment(info.task)).info.run_id
    _log_reports(mlflow, run, dataset, evaluation, gate)
    mlflow.log_artifacts(run, str(package), PACKAGE)
    if not mlflow.search_registered_models(f"name = '{info.task}'"):
        mlflow.create_registered_model(info.task)
    uri = f"{mlflow.get_run(run).info.artifact_uri}/{PACKAGE}"
    made = mlflow.create_model_version(info.task, uri, run, tags=_lineage(info, gate))
    _challenge(mlflow, made)
    return _version(mlflow.get_model_version(info.task, made.version))


def crown(version: Version) -> None:
    """Make ``version`` the champion; the one before it stays reachable as rollback."""
    mlflow, before = client(), champion(version.task)
    if before and before.number == version.number:
        return
    if before:
        mlflow.set_registered_model_alias(version.task, ROLLBACK, before.number)
    mlflow.set_registered_model_alias(version.task, CHAMPION, version.number)


def get(task: str, number: str) -> Version:
    """One registered version.

    Raises:
        DeliveryError: there is none of that number.
    """
    from mlflow.exceptions import MlflowException

    try:
        return _version(client().get_model_version(task, number))
    except MlflowException as error:
        if error.error_code in UNKNOWN:
            raise DeliveryError(f"{task} has no version {number!r}; register a package first") from error
        raise


def named(task: str, alias: str) -> str:
    """The number of the version that ``alias`` names now.

    Raises:
        DeliveryError: it names none, or the registry does not answer.
    """
    from mlflow.exceptions import MlflowException

    try:
        return str(client().get_model_version_by_alias(task, alias).version)
    except MlflowException as error:
        if error.error_code in UNKNOWN:
            raise DeliveryError(f"{task} has no version {alias}; train and promote one first") from error
        raise DeliveryError(f"the registry does not tell which version {alias} is: {error}") from error


def chosen(task: str, number: str = "") -> Version:
    """The registered version of that number, or the one in service if none is given.

    Raises:
        DeliveryError: there is none.
    """
    found = get(task, number) if number else champion(task)
    if found is None:
        raise DeliveryError(f"no version of {task} is in service; train a model first: make demo")
    return found


def _challenge(mlflow: "MlflowClient", version: Any) -> None:
    """Alias a version that never was in service, also when an earlier run was killed before it could."""
    in_service = champion(version.name)
    if in_service is None or in_service.number != str(version.version):
        mlflow.set_registered_model_alias(version.name, CHALLENGER, version.version)


def _find(mlflow: "MlflowClient", info: PackageInfo) -> Any:
    same = f"name = '{info.task}' and tags.model_digest = '{info.model_digest}'"
    found = mlflow.search_model_versions(f"{same} and tags.data_digest = '{info.data_digest}'")
    return next(iter(found), None)


def _lineage(info: PackageInfo, gate: Path) -> dict[str, str]:
    verdict = read_verdict(gate)
    passed = sum(check.passed for check in verdict.checks)
    return {
        "model_digest": info.model_digest,
        "data_digest": info.data_digest,
        "code_version": info.code_version,
        "gate": f"{passed} of {len(verdict.checks)} checks passed",
        "champion": verdict.champion or "none",
    }


def _log_reports(mlflow: "MlflowClient", run: str, dataset: Path, evaluation: Path, gate: Path) -> None:
    for name, value in read_measured(evaluation).headline().items():
        mlflow.log_metric(run, f"test_{name}", value)
    for path in (dataset / INFO, evaluation / MEASURED, evaluation / EVALUATION_REPORT, gate / GATE_REPORT):
        mlflow.log_artifact(run, str(path), "reports")


def _version(found: Any) -> Version:
    from mlflow.artifacts import download_artifacts

    return Version(
        task=found.name,
        number=str(found.version),
        uri=found.source,
        run=found.run_id or "",
        package=Path(download_artifacts(artifact_uri=found.source)),
        tags=dict(found.tags),
    )

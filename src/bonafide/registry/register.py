"""The register step: a signed package becomes a version with its lineage, the challenger."""

from pathlib import Path
from typing import Any

from bonafide.data.dataset import INFO, read_info
from bonafide.errors import DataError, PackageError
from bonafide.evaluation.evaluate import EVALUATION_REPORT, MEASURED, read_measured
from bonafide.evaluation.gate import GATE_REPORT, Verdict, read_verdict
from bonafide.files import folder_digest, lock, sha256
from bonafide.home import container_registry, home
from bonafide.model.package import PackageInfo, verify
from bonafide.registry import packages
from bonafide.registry.tracking import answering, client, experiment
from bonafide.registry.versions import (
    CHALLENGER,
    NONE,
    PLACEMENT,
    REPORTS,
    UNKNOWN,
    Version,
    champion,
    version_of,
)


@answering()
def register(package: Path, dataset: Path, evaluation: Path, gate: Path, public_key: Path) -> Version:
    """Record a verified package with its lineage and reports, and make it the challenger.

    The same model on the same data, signed for the same key and judged against the same champion, is one
    version, so a repeated run gets the one that is there. If it is the champion itself, that is returned.

    Raises:
        PackageError: the package does not hold, or the gate refused it, or the evaluation is of another one.
        DataError: the dataset is another one.
        DeliveryError: the registry does not answer, or holds other bytes at the package's address.
    """
    info, verdict = verify(package, public_key), read_verdict(package)
    _refuse_other(info, verdict, dataset, evaluation)
    tags = _tags(info, verdict, folder_digest(package), public_key)
    with lock(home() / "register.lock"):
        in_service = champion(info.task)
        if in_service and _same(in_service, tags) and _lies_well(in_service):
            return in_service
        version = _known(info.task, tags) or _add(package, info, tags, (dataset, evaluation, gate))
        client().set_registered_model_alias(info.task, CHALLENGER, version.number)
    return version


def _refuse_other(info: PackageInfo, verdict: Verdict, dataset: Path, evaluation: Path) -> None:
    """The signed package says what was judged; what comes beside it must be of the same model and data."""
    if not verdict.promote:
        raise PackageError(f"the gate refused model {info.model_digest[:12]}; train a better one")
    judged = {(each.model_digest, each.data_digest) for each in (verdict, read_measured(evaluation))}
    if judged != {(info.model_digest, info.data_digest)}:
        raise PackageError(f"{evaluation} is not the evaluation that the package was judged by")
    if read_info(dataset).digest != info.data_digest:
        raise DataError(f"{dataset} is not the dataset that the package was trained on")


def _tags(info: PackageInfo, verdict: Verdict, digest: str, public_key: Path) -> dict[str, str]:
    passed = sum(check.passed for check in verdict.checks)
    return {
        "model_digest": info.model_digest,
        "data_digest": info.data_digest,
        "package_digest": digest,
        "key": sha256(public_key),
        "code_version": info.code_version,
        "gate": f"{passed} of {len(verdict.checks)} checks passed",
        "champion": verdict.champion or NONE,
    }


def _same(version: Version, tags: dict[str, str], *more: str) -> bool:
    names = ("model_digest", "data_digest", "key", *more)
    return all(version.tags.get(name) == tags[name] for name in names)


def _known(task: str, tags: dict[str, str]) -> Version | None:
    same_model = f"name = '{task}' and tags.model_digest = '{tags['model_digest']}'"
    found = map(version_of, client().search_model_versions(same_model))
    return next((each for each in found if _same(each, tags, "champion") and _lies_well(each)), None)


def _lies_well(version: Version) -> bool:
    """Not so if packages have a place of their own since, and this one lies elsewhere."""
    place = container_registry()
    return not place or version.uri.startswith(f"{place}/")


def _add(package: Path, info: PackageInfo, tags: dict[str, str], folders: tuple[Path, Path, Path]) -> Version:
    """A server that keeps artifacts takes only addresses within the run, so there the package goes."""
    mlflow, run = client(), _run(info, tags["package_digest"])
    within = f"{run.info.artifact_uri}/packages/{tags['package_digest']}"
    images = container_registry()
    uri = packages.put(package, f"{images}/{info.task}" if images else within)
    _log_reports(run.info.run_id, f"{REPORTS}/{tags['package_digest']}", *folders)
    if not mlflow.search_registered_models(f"name = '{info.task}'"):
        mlflow.create_registered_model(info.task)
    return version_of(mlflow.create_model_version(info.task, uri, run.info.run_id, tags=tags))


def _run(info: PackageInfo, digest: str) -> Any:
    """The run that made the package; for one that was made elsewhere, or whose run was deleted, a new one."""
    from mlflow.exceptions import MlflowException

    mlflow = client()
    try:
        run = mlflow.get_run(info.run_id or "")
        if run.info.lifecycle_stage == "active":
            return run
    except MlflowException as error:
        if error.error_code not in UNKNOWN:
            raise
    place = experiment(info.task)
    begun = mlflow.search_runs([place], f"tags.package_digest = '{digest}'", max_results=1)
    if begun:
        return begun[0]
    made = mlflow.create_run(place, tags={"package_digest": digest, "original_run": info.run_id or NONE})
    mlflow.set_terminated(made.info.run_id)
    return made


def _log_reports(run: str, place: str, dataset: Path, evaluation: Path, gate: Path) -> None:
    mlflow = client()
    for name, value in read_measured(evaluation).headline().items():
        mlflow.log_metric(run, f"test_{name}", value)
    reports = [dataset / INFO, evaluation / MEASURED, evaluation / EVALUATION_REPORT, gate / GATE_REPORT]
    if (dataset / PLACEMENT).exists():
        reports.append(dataset / PLACEMENT)
    for path in reports:
        mlflow.log_artifact(run, str(path), place)

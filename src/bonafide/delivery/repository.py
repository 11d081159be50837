"""The delivery repository, whose commits are the promotions."""

from dataclasses import dataclass
from pathlib import Path

from bonafide.delivery.checkout import Checkout
from bonafide.delivery.manifests import inference_service, kustomization, to_yaml
from bonafide.errors import DeliveryError
from bonafide.files import write_text

SERVICE = "inferenceservice.yaml"


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

    def message(self, environment: str) -> str:
        """The commit message; its trailers are what audits read."""
        trailers = {
            "Model-Version": f"{self.task}/{self.version}",
            "Model-Digest": self.model_digest,
            "Run": self.run,
            "Data-Digest": self.data_digest,
            "Package-Digest": self.package_digest,
            "Code-Version": self.code_version,
            "Gate": self.gate,
            "Environment": environment,
        }
        lines = "\n".join(f"{name}: {value}" for name, value in trailers.items())
        return f"Promote {self.task} version {self.version} in {environment}\n\n{lines}\n"


def promote(delivery: Checkout, environment: str, promotion: Promotion) -> str:
    """Give all traffic of an environment to a model version, as one commit that is still to be published.

    Promoting what is already there changes nothing; a promotion that was killed is finished by the next.

    Returns:
        the commit that holds the promotion.

    Raises:
        DeliveryError: Git cannot be used, or somebody left other changes in the folder.
    """
    place, namespace = Path("environments") / environment / promotion.task, f"bonafide-{environment}"
    manifests = {
        SERVICE: inference_service(promotion.task, promotion.version, promotion.package_uri, namespace),
        "kustomization.yaml": kustomization(namespace),
    }
    repository = delivery.repository
    _refuse_foreign_changes(delivery, place)
    for name, manifest in manifests.items():
        write_text(delivery.folder / place / name, to_yaml(manifest))
    try:
        repository.index.add([str(place / name) for name in manifests])
        if repository.index.diff("HEAD"):
            delivery.commit(promotion.message(environment))
    except OSError as error:  # GitPython's own way to say that a lock is held
        raise DeliveryError(
            f"{delivery.folder}: {error}; if no git runs there, remove the lock file"
        ) from error
    return str(next(repository.iter_commits(paths=str(place / SERVICE))).hexsha)


def last_promotion(delivery: Checkout, task: str) -> dict[str, str]:
    """The trailers of the last commit that changed what is in service, in any environment; empty for none."""
    places = f"environments/*/{task}/{SERVICE}"
    commit = next(delivery.repository.iter_commits(paths=places, max_count=1), None)
    lines = str(commit.message).splitlines() if commit else []
    return {name: value for name, colon, value in (line.partition(": ") for line in lines) if colon}


def _refuse_foreign_changes(delivery: Checkout, place: Path) -> None:
    index = delivery.repository.index
    changed = {item.a_path for item in (*index.diff(None), *index.diff("HEAD"))}
    if foreign := sorted(path for path in changed if path and not Path(path).is_relative_to(place)):
        raise DeliveryError(
            f"{delivery.folder} has uncommitted changes in {', '.join(foreign[:5])}; "
            "commit or discard them and run again"
        )

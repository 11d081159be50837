"""The delivery folder: a Git repository whose commits are the promotions."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bonafide.delivery.manifests import inference_service, kustomization, to_yaml
from bonafide.errors import DeliveryError
from bonafide.files import write_text

if TYPE_CHECKING:
    from git import Repo

BRANCH = "main"
SERVICE = "inferenceservice.yaml"
README = """# Delivery

What runs where. `bonafide` commits here, Argo CD applies it. One folder an environment and task; each commit
carries the model version, run, digests, code version and gate verdict as trailers.
"""


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


def promote(folder: Path, environment: str, promotion: Promotion) -> str:
    """Give all traffic of an environment to a model version, as one commit.

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
    with _open(folder) as repository:
        _refuse_foreign_changes(repository, place)
        for name, manifest in manifests.items():
            write_text(folder / place / name, to_yaml(manifest))
        try:
            repository.index.add([str(place / name) for name in manifests])
            if repository.index.diff("HEAD"):
                _commit(repository, promotion.message(environment))
        except OSError as error:  # GitPython's own way to say that a lock is held
            raise DeliveryError(f"{folder}: {error}; if no git runs there, remove the lock file") from error
        return str(next(repository.iter_commits(paths=str(place / SERVICE))).hexsha)


def last_promotion(folder: Path, task: str) -> dict[str, str]:
    """The trailers of the last commit that changed what is in service, in any environment; empty for none.

    Raises:
        DeliveryError: Git cannot be used.
    """
    with _open(folder) as repository:
        places = f"environments/*/{task}/{SERVICE}"
        commit = next(repository.iter_commits(paths=places, max_count=1), None)
        lines = str(commit.message).splitlines() if commit else []
        return {name: value for name, colon, value in (line.partition(": ") for line in lines) if colon}


def _open(folder: Path) -> "Repo":
    try:
        from git import GitError, InvalidGitRepositoryError, NoSuchPathError, Repo
    except ImportError as error:  # GitPython looks for the git command when it is imported
        raise DeliveryError("the delivery folder needs git; install it and run again") from error
    try:
        repository = Repo(folder)
    except (InvalidGitRepositoryError, NoSuchPathError):
        repository = Repo.init(folder, initial_branch=BRANCH)
    except GitError as error:
        raise DeliveryError(f"{folder} is no usable Git repository: {error}") from error
    if not repository.head.is_valid():
        write_text(folder / "README.md", README)
        repository.index.add(["README.md"])
        _commit(repository, "Start the delivery folder")
    return repository


def _commit(repository: "Repo", message: str) -> None:
    from git import Actor

    bonafide = Actor("Bonafide", "bonafide@localhost")
    repository.index.commit(message, author=bonafide, committer=bonafide)


def _refuse_foreign_changes(repository: "Repo", place: Path) -> None:
    changed = {item.a_path for item in repository.index.diff(None)}
    changed |= {item.a_path for item in repository.index.diff("HEAD")}
    if foreign := sorted(path for path in changed if path and not Path(path).is_relative_to(place)):
        raise DeliveryError(
            f"{repository.working_dir} has uncommitted changes in {', '.join(foreign[:5])}; "
            "commit or discard them and run again"
        )

"""From what a user names to the packages that a server follows."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bonafide.errors import BonafideError
from bonafide.home import delivery, is_remote, without_secrets

if TYPE_CHECKING:
    from bonafide.serving.compute.scheduler import Scheduler
    from bonafide.serving.models.locations import Source
    from bonafide.serving.models.predictor import Predictor
    from bonafide.serving.models.reload import Load

REGISTERED = "models:/"
ENVIRONMENT = "dev"


def source(place: str | None, version: str, task: str) -> "Source":
    """Packages by version: in a folder, at ``models:/TASK@ALIAS``, or the one in service for ``task``.

    Args:
        version: of a folder that is a single package.
    """
    from bonafide.serving.models import locations

    if place is None:
        return _in_service(task)
    return _registered(place) if place.startswith(REGISTERED) else locations.folder(Path(place), version)


def loader(public_key: Path, scheduler: "Scheduler") -> "Load":
    """Verifies, loads and warms packages, whose images the scheduler's threads work on."""
    from bonafide.serving.compute.engine import Engine
    from bonafide.serving.models.predictor import Predictor

    def load(package: Path, version: str) -> "Predictor":
        engine = Engine(package, public_key, threads=1)
        predictor = Predictor(engine, scheduler, version or engine.info.model_digest[:12])
        predictor.load()
        return predictor

    return load


def _in_service(task: str) -> "Source":
    from bonafide.delivery.current import in_service
    from bonafide.task import load_task

    name, folder = load_task(task).name, delivery()
    if is_remote(folder):
        raise BonafideError(
            f"what is in service is said at {without_secrets(folder)}, too far to ask every few seconds; "
            f"name the package to follow: models:/{name}@champion"
        )

    def source() -> Mapping[str, Path]:
        current = in_service(folder, ENVIRONMENT, name)
        return {current.version: current.package}

    return source


def _registered(address: str) -> "Source":
    """The version that an alias names; asking for its package keeps it in the cache."""
    task, _, alias = address.removeprefix(REGISTERED).partition("@")
    if not task or not alias:
        raise BonafideError(
            f"{address!r} names no version; give models:/TASK@ALIAS, e.g. models:/cats@champion"
        )
    try:
        import mlflow  # noqa: F401  (says now what would fail later)

        from bonafide.registry import packages, versions
    except ImportError as error:
        raise BonafideError(
            f"{address} needs the registry: {error}; pip install 'bonafide[train]', or give a folder"
        ) from error
    known: dict[str, versions.Version] = {}

    def source() -> Mapping[str, Path]:
        number = versions.named(task, alias)
        if number not in known:
            version = versions.get(task, number)
            known.clear()
            known[number] = version
        return {number: packages.fetch(known[number])}

    return source

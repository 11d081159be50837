"""What the delivery repository says is in service."""

from dataclasses import dataclass
from pathlib import Path

from bonafide.delivery.checkout import checkout
from bonafide.delivery.modes import parse_service
from bonafide.delivery.repository import SERVICE, folder_of
from bonafide.errors import DeliveryError
from bonafide.home import is_remote
from bonafide.registry.packages import fetch, local
from bonafide.registry.versions import get


@dataclass(frozen=True)
class InService:
    """A model version and the address of its package."""

    task: str
    version: str
    package_uri: str

    @property
    def package(self) -> Path:
        """The package's folder on this machine; one that lies elsewhere is fetched.

        Raises:
            DeliveryError: it cannot be fetched, or the registry names another address.
        """
        if folder := local(self.package_uri):
            return folder
        version = get(self.task, self.version)
        if version.uri != self.package_uri:
            raise DeliveryError(f"the package is at {self.package_uri}, which this registry does not know")
        return fetch(version)


def in_service(place: str, environment: str, task: str) -> InService:
    """Read an environment's InferenceService in the delivery repository at ``place``.

    Raises:
        DeliveryError: nothing was promoted there yet, or the repository cannot be reached.
    """
    if is_remote(place):
        with checkout(place) as delivery:
            return _read(delivery.folder, environment, task)
    return _read(Path(place), environment, task)


def _read(folder: Path, environment: str, task: str) -> InService:
    path = folder / folder_of(environment, task) / SERVICE
    try:
        stable = parse_service(path.read_text(), str(path)).stable
    except OSError as error:
        raise DeliveryError(
            f"nothing is in service for {task} in {environment}; train a model first: make demo"
        ) from error
    return InService(task, stable.version, stable.package_uri)

"""An InferenceService in the delivery repository: read, and changed in place so that comments stay."""

import io
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from bonafide.delivery.manifests import predictor_name
from bonafide.errors import DeliveryError

VERSION = "BONAFIDE_MODEL_VERSION"
PREDICTOR_LABEL = "bonafide.dev/predictor"


@dataclass(frozen=True)
class Served:
    """A model version and the address of its package."""

    version: str
    package_uri: str

    @property
    def predictor(self) -> str:
        """The name of its predictor."""
        return predictor_name(self.version)


class Service(ABC):
    """The stable version of an environment and, if any, the canary that has a part of its traffic.

    Args:
        content: of the file.
        where: its name, for messages.

    Raises:
        DeliveryError: a weight is out of range, or there are several canaries.
    """

    def __init__(self, content: Any, where: str) -> None:
        self._where = where
        self._content = content
        self._spec = content["spec"]
        self._predictor = self._spec["predictor"]
        self.stable, self.canary, self.weight = self._read()
        if not 0 <= self.weight <= 100:
            raise DeliveryError(f"{where}: a canary has {self.weight} % of the traffic; give 0 to 100")

    @property
    def text(self) -> str:
        """The file as it is to be written."""
        stream = io.StringIO()
        round_trip().dump(self._content, stream)
        return stream.getvalue()

    @abstractmethod
    def _read(self) -> tuple[Served, Served | None, int]:
        """The stable version, the canary, and its share in percent."""

    @property
    @abstractmethod
    def replicas(self) -> int:
        """How many pods the canary is to have."""

    @abstractmethod
    def replace(self, served: Served) -> None:
        """All traffic to a version, at once."""

    @abstractmethod
    def open(self, canary: Served, weight: int) -> None:
        """A canary with a first share, in percent."""

    @abstractmethod
    def weigh(self, weight: int, pods: int) -> None:
        """Give the canary another share.

        Args:
            weight: in percent.
            pods: how many the stable version has.
        """

    @abstractmethod
    def finish(self) -> None:
        """The canary becomes the stable version, and no pod starts again."""

    @abstractmethod
    def drop(self) -> None:
        """All traffic to the stable version, as before the canary."""


def served_by(predictor: Any) -> Served:
    """What a predictor of the file serves."""
    model = predictor["model"]
    version = next(item["value"] for item in model["env"] if item["name"] == VERSION)
    return Served(str(version), str(model["storageUri"]))


def identify(predictor: Any, served: Served) -> None:
    """Make a predictor that of a version; what a person set in it stays."""
    model = predictor["model"]
    predictor.setdefault("labels", {})[PREDICTOR_LABEL] = served.predictor
    model["storageUri"] = served.package_uri
    next(item for item in model["env"] if item["name"] == VERSION)["value"] = served.version


def round_trip() -> Any:
    """A reader and writer of YAML that keeps comments, quotes and order."""
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 2**16
    return yaml

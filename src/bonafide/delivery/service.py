"""An InferenceService in the delivery repository: read, and changed in place so that comments stay."""

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from bonafide.delivery.manifests import predictor_name
from bonafide.errors import DeliveryError

VERSION = "BONAFIDE_MODEL_VERSION"
PREDICTOR_LABEL = "bonafide.dev/predictor"
MIN_REPLICAS = "bonafide.dev/min-replicas"
SCALER = "serving.kserve.io/autoscalerClass"
# What a canary may not have: it is not scaled.
SCALING = ("maxReplicas", "autoScaling", "scaleMetric", "scaleTarget")


@dataclass(frozen=True)
class Served:
    """A model version and the address of its package."""

    version: str
    package_uri: str

    @property
    def predictor(self) -> str:
        """The name of its predictor."""
        return predictor_name(self.version)


class Service:
    """The stable version of an environment and, if any, the canary that has a part of its traffic.

    Args:
        text: the file.
        where: its name, for messages.

    Raises:
        DeliveryError: it is no InferenceService that Bonafide wrote, or a weight is out of range.
    """

    def __init__(self, text: str, where: str) -> None:
        self._where = where
        with self._understood():
            self._content = round_trip().load(text)
            self._spec = self._content["spec"]
            self.stable = _served(self._spec["predictor"])
            self.canary, self.weight = self._read_canary()
        if not 0 <= self.weight <= 100:
            raise DeliveryError(f"{where}: a canary has {self.weight} % of the traffic; give 0 to 100")

    @property
    def text(self) -> str:
        """The file as it is to be written."""
        stream = io.StringIO()
        round_trip().dump(self._content, stream)
        return stream.getvalue()

    @property
    def replicas(self) -> int:
        """How many pods the canary is to have."""
        return max(1, int(self._spec["canary"][0]["predictor"].get("minReplicas", 1))) if self.canary else 0

    def replace(self, served: Served) -> None:
        """All traffic to a version, at once."""
        self.drop()
        _identify(self._spec["predictor"], served)
        self.stable = served

    def open(self, canary: Served) -> None:
        """A canary without traffic: the stable predictor's copy with another package, one pod, no scaling."""
        predictor = deepcopy(self._spec["predictor"])
        for key in SCALING:
            predictor.pop(key, None)
        _identify(predictor, canary)
        least = str(predictor.get("minReplicas", 1))
        predictor["minReplicas"] = 1
        predictor.setdefault("annotations", {}).update({SCALER: "none", MIN_REPLICAS: least})
        self._spec["canary"] = [{"trafficPercent": 0, "predictor": predictor}]
        self.canary, self.weight = canary, 0

    def weigh(self, weight: int, pods: int) -> None:
        """Give the canary another share, and as many pods as carry it.

        Args:
            weight: in percent.
            pods: how many the stable version has, which carry all of the traffic. It keeps as many meanwhile,
                because a canary may not have more.
        """
        stable, canary = self._spec["predictor"], self._spec["canary"][0]
        most = int(stable.get("maxReplicas") or pods)
        stable["minReplicas"] = max(self._least(), min(pods, most))
        canary["predictor"]["minReplicas"] = max(1, math.ceil(stable["minReplicas"] * weight / 100))
        canary["trafficPercent"] = self.weight = weight

    def finish(self) -> None:
        """The canary becomes the stable version: its predictor is renamed, which restarts no pod."""
        assert self.canary
        self.replace(self.canary)

    def drop(self) -> None:
        """All traffic to the stable version, as before the canary."""
        if self.canary:
            self._spec["predictor"]["minReplicas"] = self._least()
        self._spec.pop("canary", None)
        self.canary, self.weight = None, 0

    def _least(self) -> int:
        """The stable predictor's own minReplicas. As a note on the service it would restart every pod."""
        annotations = self._spec["canary"][0]["predictor"].get("annotations", {})
        return int(annotations.get(MIN_REPLICAS, self._spec["predictor"].get("minReplicas", 1)))

    def _read_canary(self) -> tuple[Served | None, int]:
        canaries = self._spec.get("canary") or []
        if len(canaries) > 1:
            raise DeliveryError(f"{self._where} has {len(canaries)} canaries; Bonafide judges one at a time")
        if not canaries:
            return None, 0
        return _served(canaries[0]["predictor"]), int(canaries[0].get("trafficPercent") or 0)

    @contextmanager
    def _understood(self) -> Iterator[None]:
        from ruamel.yaml.error import YAMLError

        try:
            yield
        except (YAMLError, KeyError, TypeError, ValueError, AttributeError, StopIteration) as error:
            raise DeliveryError(
                f"{self._where} is no InferenceService that Bonafide wrote: {error!r}"
            ) from error


def _served(predictor: Any) -> Served:
    model = predictor["model"]
    version = next(item["value"] for item in model["env"] if item["name"] == VERSION)
    return Served(str(version), str(model["storageUri"]))


def _identify(predictor: Any, served: Served) -> None:
    """Make a predictor that of a version; what a person set in it stays."""
    before, model = predictor["name"], predictor["model"]
    predictor["name"] = served.predictor
    predictor.setdefault("labels", {})[PREDICTOR_LABEL] = served.predictor
    model["storageUri"] = served.package_uri
    next(item for item in model["env"] if item["name"] == VERSION)["value"] = served.version
    for metric in predictor.get("autoScaling", {}).get("metrics", ()):
        backend = metric.get("external", {}).get("metric", {})
        if "query" in backend:
            backend["query"] = backend["query"].replace(
                f'predictor="{before}"', f'predictor="{served.predictor}"'
            )


def round_trip() -> Any:
    """A reader and writer of YAML that keeps comments, quotes and order."""
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 2**16
    return yaml

"""KServe's Standard mode: a predictor for each version, and shares in ``spec.canary``."""

import math
from copy import deepcopy
from typing import Any

from bonafide.delivery.service import Served, Service, identify, served_by
from bonafide.errors import DeliveryError

MIN_REPLICAS = "bonafide.dev/min-replicas"
SCALER = "serving.kserve.io/autoscalerClass"
# What a canary may not have: it is not scaled.
SCALING = ("maxReplicas", "autoScaling", "scaleMetric", "scaleTarget")


class Standard(Service):
    """An InferenceService in Standard mode."""

    def _read(self) -> tuple[Served, Served | None, int]:
        canaries = self._spec.get("canary") or []
        if len(canaries) > 1:
            raise DeliveryError(f"{self._where} has {len(canaries)} canaries; Bonafide judges one at a time")
        stable = served_by(self._predictor)
        if not canaries:
            return stable, None, 0
        return stable, served_by(canaries[0]["predictor"]), int(canaries[0].get("trafficPercent") or 0)

    @property
    def replicas(self) -> int:
        """How many pods the canary is to have: its own minimum."""
        return max(1, int(self._spec["canary"][0]["predictor"].get("minReplicas", 1))) if self.canary else 0

    def replace(self, served: Served) -> None:
        """All traffic to a version, at once."""
        self.drop()
        _identify(self._predictor, served)
        self.stable = served

    def open(self, canary: Served, weight: int) -> None:
        """A canary: the stable predictor's copy with another package, one pod, no scaling."""
        predictor = deepcopy(self._predictor)
        for key in SCALING:
            predictor.pop(key, None)
        _identify(predictor, canary)
        least = str(predictor.get("minReplicas", 1))
        predictor.setdefault("annotations", {}).update({SCALER: "none", MIN_REPLICAS: least})
        self._spec["canary"] = [{"trafficPercent": weight, "predictor": predictor}]
        self.canary = canary
        self.weigh(weight, 1)

    def weigh(self, weight: int, pods: int) -> None:
        """Give the canary another share, and as many pods as carry it.

        Args:
            weight: in percent.
            pods: how many the stable version has, which carry all of the traffic. It keeps as many meanwhile,
                because a canary may not have more.
        """
        stable, canary = self._predictor, self._spec["canary"][0]
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
            self._predictor["minReplicas"] = self._least()
        self._spec.pop("canary", None)
        self.canary, self.weight = None, 0

    def _least(self) -> int:
        """The stable predictor's own minReplicas. As a note on the service it would restart every pod."""
        annotations = self._spec["canary"][0]["predictor"].get("annotations", {})
        return int(annotations.get(MIN_REPLICAS, self._predictor.get("minReplicas", 1)))


def _identify(predictor: Any, served: Served) -> None:
    """Make a predictor that of a version, by its name too, and scale it by its own metrics."""
    before = predictor["name"]
    identify(predictor, served)
    predictor["name"] = served.predictor
    for metric in predictor.get("autoScaling", {}).get("metrics", ()):
        backend = metric.get("external", {}).get("metric", {})
        if "query" in backend:
            backend["query"] = backend["query"].replace(
                f'predictor="{before}"', f'predictor="{served.predictor}"'
            )

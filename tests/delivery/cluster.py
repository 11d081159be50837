"""KServe 0.21 and Knative 1.23 as far as they divide traffic, transcribed from their sources.

KServe: ``ksvc_reconciler.go`` (the targets), ``inference_service_status.go`` (``PropagateStatus``).
Knative: ``configuration.go`` (the latest ready revision), ``traffic.go`` (targets that are not ready).
"""

from collections import Counter
from copy import deepcopy
from dataclasses import dataclass, field

import yaml

PERCENT = "canaryTrafficPercent"


@dataclass(eq=False)
class Revision:
    """What serves one template of a pod."""

    template: dict
    version: str
    ready: bool = False


@dataclass(eq=False)
class Target:
    """A part of the traffic; ``newest`` follows the latest revision that is ready."""

    percent: int
    revision: Revision | None
    newest: bool


@dataclass(eq=False)
class Cluster:
    """One InferenceService in Knative mode. Each method is a step of one controller, in any order."""

    percent: int | None = None
    template: dict = field(default_factory=dict)
    wanted: list[Target] = field(default_factory=list)
    revisions: list[Revision] = field(default_factory=list)
    latest_ready: Revision | None = None
    traffic: list[Target] = field(default_factory=list)
    rolled_out: Revision | None = None
    rolled_out_before: Revision | None = None

    def kserve(self, text: str) -> None:
        """The controller sees the file: template and targets, then the status of what was there."""
        content = yaml.safe_load(text)
        predictor = deepcopy(content["spec"]["predictor"])
        self.percent = predictor.pop(PERCENT, None)
        self.template = {"annotations": content["metadata"]["annotations"], "predictor": predictor}
        if self.percent is None or self.rolled_out is None:
            self.wanted = [Target(100, None, True)]
        else:
            rest = [Target(100 - self.percent, self.rolled_out, False)] if self.percent < 100 else []
            self.wanted = [Target(self.percent, None, True), *rest]
        self._propagate()

    def configure(self) -> None:
        """Knative makes a revision of a template that is new."""
        if not self.revisions or self.revisions[-1].template != self.template:
            (version,) = (each["value"] for each in self.template["predictor"]["model"]["env"])
            self.revisions.append(Revision(self.template, version))

    def become(self, number: int, ready: bool) -> None:
        """A revision's pods are there, or all of them crash."""
        self.revisions[number].ready = ready
        first = self.revisions.index(self.latest_ready) if self.latest_ready else 0
        later = [each for each in self.revisions[first:] if each.ready]
        self.latest_ready = later[-1] if later else self.latest_ready

    def route(self) -> None:
        """Knative points the route at the revisions; one that is not ready leaves it as it was."""
        found = [
            Target(each.percent, self.latest_ready if each.newest else each.revision, each.newest)
            for each in self.wanted
        ]
        if all(each.revision and each.revision.ready for each in found):
            self.traffic = found

    def settle(self, text: str) -> None:
        """All controllers, with pods for every revision, until nothing changes."""
        for _ in range(6):
            self.kserve(text)
            self.configure()
            for number in range(len(self.revisions)):
                self.become(number, ready=True)
            self.route()

    def shares(self) -> Counter[str]:
        """The percent of the traffic of each version that has some."""
        found: Counter[str] = Counter()
        for each in self.traffic:
            found[each.revision.version] += each.percent
        return +found

    def _propagate(self) -> None:
        created = self.revisions[-1] if self.revisions else None
        for each in self.traffic:
            if not each.newest or each.revision is not self.latest_ready:
                continue
            if self.rolled_out is not self.latest_ready:
                if each.percent == 100:
                    self.rolled_out_before, self.rolled_out = self.rolled_out, self.latest_ready
            elif self.latest_ready is created and each.percent < 100:
                whole = sum(other.percent for other in self.traffic if other.revision is each.revision)
                if whole == 100 and self.rolled_out_before:
                    self.rolled_out = self.rolled_out_before

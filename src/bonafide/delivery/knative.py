"""KServe's Knative mode: one predictor, the newest revision, and its share in ``canaryTrafficPercent``."""

from typing import Any

from bonafide.delivery.service import Served, Service, identify, served_by
from bonafide.errors import DeliveryError

PERCENT = "canaryTrafficPercent"
STABLE_VERSION, STABLE_PACKAGE = "bonafide.dev/stable-version", "bonafide.dev/stable-package"
# Hosts by which each of two revisions can be asked, whatever its share.
TAGS = "serving.kserve.io/enable-tag-routing"


class Knative(Service):
    """An InferenceService in Knative mode; docs/decisions/0029-knative.md has the reasons for its form.

    The share is that of the newest revision that is ready, and the rest is for the one that had all traffic
    last. The file holds the newest, and annotations name the other one. If they are the same version, none is
    on trial.
    """

    def _read(self) -> tuple[Served, Served | None, int]:
        if self._spec.get("canary"):
            raise DeliveryError(f"{self._where} has canary, which KServe refuses in Knative mode")
        newest = served_by(self._predictor)
        if PERCENT not in self._predictor:
            return newest, None, 0
        percent, stable = self._predictor[PERCENT], self._remembered()
        if not isinstance(percent, int) or isinstance(percent, bool) or not 0 <= percent <= 100:
            raise DeliveryError(f"{self._where}: {PERCENT} is {percent!r}; give 0 to 100")
        return (stable, None, 0) if newest == stable else (stable, newest, percent)

    @property
    def replicas(self) -> int:
        """How many pods the canary is to have: as many as any revision, at least."""
        return max(1, self._least()) if self.canary else 0

    def replace(self, served: Served) -> None:
        """All traffic to a version, as soon as it is ready; until then to the newest revision.

        Raises:
            DeliveryError: the newest revision may be one that is not to have all traffic.
        """
        if served == self.stable and not self.canary:
            return
        if PERCENT in self._predictor and self.weight < 100:
            raise DeliveryError(
                f"{self._where} has {PERCENT}: until version {served.version} is ready, all traffic would go "
                "to the newest revision that is, which may be a bad one. End a trial that is open (bonafide "
                "rollback); then commit a rollout.yaml, so that the version begins at 0 %, or "
                f"remove {PERCENT} once the revision of version {self.stable.version} is ready; "
                "and run this again"
            )
        identify(self._predictor, served)
        self._predictor.pop(PERCENT, None)
        for name in (STABLE_VERSION, STABLE_PACKAGE):
            self._annotations.pop(name, None)
        self.stable, self.canary, self.weight = served, None, 0

    def open(self, canary: Served, weight: int) -> None:
        """A canary without traffic.

        Raises:
            DeliveryError: it would begin with traffic, or without pods.
        """
        if weight:
            raise DeliveryError(
                f"{self._where}: in Knative mode a share goes to the newest revision that is ready, and that "
                "may be a bad one until the canary is; let the steps of rollout.yaml begin with 0"
            )
        if self._least() < 1:
            raise DeliveryError(
                f"{self._where}: with minReplicas {self._least()} a canary without traffic has no pods; "
                "set minReplicas to 1 or more"
            )
        self._annotations[STABLE_VERSION] = self.stable.version
        self._annotations[STABLE_PACKAGE] = self.stable.package_uri
        self._annotations.setdefault(TAGS, "true")
        identify(self._predictor, canary)
        self._weigh(0)
        self.canary = canary

    def weigh(self, weight: int, pods: int) -> None:  # noqa: ARG002
        """Give the canary another share; Knative scales both revisions.

        Args:
            weight: in percent.
            pods: how many the stable version has, which is all the same here.
        """
        self._weigh(weight)

    def finish(self) -> None:
        """The canary becomes the stable version. Any other change would make a new revision."""
        assert self.canary
        del self._predictor[PERCENT]
        self.stable, self.canary, self.weight = self.canary, None, 0

    def drop(self) -> None:
        """All traffic to the stable version, which comes back as the newest revision, without a share.

        At 100 % KServe takes the canary for what had all traffic last: then the stable version replaces it.
        """
        if self.weight == 100:
            self.replace(self.stable)
        elif self.canary:
            identify(self._predictor, self.stable)
            self._weigh(0)
            self.canary = None

    @property
    def _annotations(self) -> Any:
        return self._content["metadata"]["annotations"]

    def _remembered(self) -> Served:
        try:
            return Served(str(self._annotations[STABLE_VERSION]), str(self._annotations[STABLE_PACKAGE]))
        except KeyError as error:
            raise DeliveryError(
                f"{self._where} has {PERCENT}, and no annotation {error} says which version has the rest; "
                "add it, or remove the share"
            ) from error

    def _least(self) -> int:
        return int(self._predictor.get("minReplicas", 1))

    def _weigh(self, weight: int) -> None:
        if PERCENT not in self._predictor:
            self._predictor.insert(0, PERCENT, weight)
        self._predictor[PERCENT] = self.weight = weight

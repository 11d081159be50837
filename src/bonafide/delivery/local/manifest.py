"""Which predictors an InferenceService has, and each one's share of the traffic."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bonafide.config import BAD_YAML
from bonafide.delivery.current import InService
from bonafide.delivery.manifests import predictor_name
from bonafide.delivery.modes import is_knative, parse_service
from bonafide.delivery.repository import SERVICE, folder_of
from bonafide.delivery.rollout.settings import ALL
from bonafide.delivery.service import VERSION, Service
from bonafide.errors import DeliveryError


@dataclass(frozen=True)
class Arm:
    """A predictor of the manifest: its name, what it serves, and its percent of the requests."""

    name: str
    served: InService
    percent: int


def read_arms(folder: Path, environment: str, task: str) -> tuple[Arm, ...]:
    """The stable predictor, which takes what the canaries leave, and then the canaries.

    Args:
        folder: of the delivery repository.

    Raises:
        DeliveryError: there is no manifest, or it cannot be served here.
    """
    path = folder / folder_of(environment, task) / SERVICE
    try:
        text = path.read_text()
        content = yaml.safe_load(text)
        if is_knative(content):
            return _revisions(task, parse_service(text, str(path)))
        spec = content["spec"]
        if "canaryTrafficPercent" in spec["predictor"]:
            raise DeliveryError(
                f"{path} has canaryTrafficPercent, which counts in Knative mode only; use canary"
            )
        given = spec.get("canary") or ()
        canaries = [_arm(task, each["predictor"], each["trafficPercent"]) for each in given]
        stable = _arm(task, spec["predictor"], ALL - sum(canary.percent for canary in canaries))
    except OSError as error:
        raise DeliveryError(
            f"nothing is in service for {task} in {environment}; train a model first: make demo"
        ) from error
    except (*BAD_YAML, StopIteration) as error:
        raise DeliveryError(f"{path} is no InferenceService that Bonafide wrote: {error!r}") from error
    arms = (stable, *canaries)
    _refuse_wrong(path, arms)
    return arms


def _revisions(task: str, service: Service) -> tuple[Arm, ...]:
    """In Knative mode, the stable revision and the canary's."""
    shares = [(service.stable, ALL - service.weight), (service.canary, service.weight)]
    return tuple(
        Arm(served.predictor, InService(task, served.version, served.package_uri), percent)
        for served, percent in shares
        if served
    )


def _arm(task: str, predictor: dict[str, Any], percent: int) -> Arm:
    model = predictor["model"]
    version = next(item["value"] for item in model["env"] if item["name"] == VERSION)
    served = InService(task, str(version), str(model["storageUri"]))
    return Arm(str(predictor.get("name") or predictor_name(str(version))), served, percent)


def _refuse_wrong(path: Path, arms: tuple[Arm, ...]) -> None:
    """What KServe's schema lets pass, or its controller refuses."""
    for arm in arms[1:]:
        if type(arm.percent) is not int or not 0 <= arm.percent <= ALL:
            raise DeliveryError(f"{path}: trafficPercent of {arm.name} is {arm.percent!r}; give 0 to {ALL}")
    if arms[0].percent < 0:
        total = ALL - arms[0].percent
        raise DeliveryError(f"{path}: the canaries' trafficPercent is {total} in sum; give {ALL} or less")
    names = [arm.name for arm in arms]
    if twice := {name for name in names if names.count(name) > 1}:
        raise DeliveryError(f"{path}: several predictors are named {', '.join(sorted(twice))}")

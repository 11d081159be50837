"""InferenceServices of both modes, for tests."""

from pathlib import Path

import yaml

from bonafide.delivery.manifests import inference_service, to_yaml
from bonafide.delivery.modes import parse_service
from bonafide.delivery.service import Served, Service

ONE, TWO, THREE = (Served(number, f"s3://models/{number}") for number in "123")


def standard(version: str = "1", package_uri: str = "") -> dict:
    """As a promotion writes it."""
    return inference_service("pets", version, package_uri or f"s3://models/{version}", "bonafide-dev")


def knative(version: str = "1", package_uri: str = "") -> dict:
    """As docs/how-to/canary-on-a-cluster.md says that a team changes it."""
    return _turned(standard(version, package_uri))


def turned(path: Path) -> dict:
    """A committed file that a team turns to Knative mode."""
    return _turned(yaml.safe_load(path.read_text()))


def _turned(content: dict) -> dict:
    content["metadata"]["annotations"] = {"serving.kserve.io/deploymentMode": "Knative"}
    del content["spec"]["predictor"]["name"], content["spec"]["predictor"]["autoScaling"]
    return content


MODES = {"Standard": standard, "Knative": knative}


def written(mode: str, version: str = "1") -> str:
    """The file of a mode, with a person's comment."""
    return to_yaml(MODES[mode](version)).replace("minReplicas: 1", "minReplicas: 1  # night")


def again(service: Service) -> Service:
    """As the file has it."""
    return parse_service(service.text, "it")

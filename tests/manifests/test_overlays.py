"""What Argo CD builds from a promotion: the service, with what its environment adds to every service."""

from pathlib import Path

import pytest
import yaml

from bonafide.delivery.checkout import checkout
from bonafide.delivery.manifests import inference_service, to_yaml
from bonafide.delivery.repository import Promotion, promote
from tests.manifests.test_kserve import parsed

ENVIRONMENTS = ("dev", "staging", "prod")
FOLDER = Path(__file__).parents[2] / "kserve/overlays"
VERSION = Promotion("authenticity", "3", "s3://models/3", "r", "d", "d", "p", "0.1.0", "passed")


def with_canary(service: dict, share: int, replicas: int) -> dict:
    """The service in the middle of a rollout, as KServe's CRD wants it."""
    service["spec"]["predictor"]["minReplicas"] = max(service["spec"]["predictor"]["minReplicas"], replicas)
    canary = {
        "name": "v4",
        "labels": {"bonafide.dev/predictor": "v4"},
        "annotations": {"serving.kserve.io/autoscalerClass": "none"},
        "minReplicas": replicas,
        "model": service["spec"]["predictor"]["model"] | {"storageUri": "s3://models/4"},
    }
    service["spec"]["canary"] = [{"predictor": canary, "trafficPercent": share}]
    return service


@pytest.fixture(params=ENVIRONMENTS)
def promoted(request, tmp_path) -> tuple[str, Path]:
    """The environment's name, and a task's folder after its first promotion there."""
    with checkout(str(tmp_path / "delivery")) as delivery:
        promote(delivery, request.param, VERSION)
    return request.param, tmp_path / "delivery/environments" / request.param / VERSION.task


def services(built: list[dict]) -> list[dict]:
    return [item for item in built if item["kind"] == "InferenceService"]


def test_every_environment_has_one_and_it_is_a_component():
    assert {path.name for path in FOLDER.iterdir()} == set(ENVIRONMENTS)
    for name in ENVIRONMENTS:
        content = yaml.safe_load((FOLDER / name / "kustomization.yaml").read_text())
        assert content["kind"] == "Component"


def test_the_built_service_is_the_promoted_one_and_what_the_environment_adds(promoted, kustomize):
    environment, folder = promoted
    (built,) = services(kustomize(folder))
    predictor = built["spec"]["predictor"]
    added = {
        "dev": predictor["model"].pop("resources", None),
        "staging": predictor.pop("topologySpreadConstraints", None),
    }
    added["prod"] = added["staging"]
    assert [name for name in ENVIRONMENTS if added[name] and name == environment] == [environment]
    expected = inference_service("authenticity", "3", "s3://models/3", f"bonafide-{environment}")
    expected["metadata"]["namespace"] = f"bonafide-{environment}"
    assert built == expected


def test_replicas_in_prod_lie_in_different_zones_and_canaries_apart(promoted, kustomize):
    environment, folder = promoted
    (built,) = services(kustomize(folder))
    rules = built["spec"]["predictor"].get("topologySpreadConstraints", [])
    keys = {
        "dev": [],
        "staging": ["kubernetes.io/hostname"],
        "prod": ["topology.kubernetes.io/zone", "kubernetes.io/hostname"],
    }
    assert [rule["topologyKey"] for rule in rules] == keys[environment]
    for rule in rules:
        assert rule["whenUnsatisfiable"] == "ScheduleAnyway", "a lost zone must not stop a rollback"
        (expression,) = rule["labelSelector"]["matchExpressions"]
        assert expression["key"] in built["spec"]["predictor"]["labels"]
        assert expression["key"] in rule["matchLabelKeys"]
    assert (built["spec"]["predictor"]["minReplicas"] > 1) is (environment == "prod")


@pytest.mark.parametrize(("share", "replicas"), [(0, 1), (50, 3), (100, 6)])
def test_nothing_of_a_canary_is_changed_and_it_stays_within_the_stable_predictor(
    promoted, kustomize, share, replicas
):
    environment, folder = promoted
    service = inference_service("authenticity", "3", "s3://models/3", f"bonafide-{environment}")
    service = with_canary(service, share, replicas)
    (folder / "inferenceservice.yaml").write_text(to_yaml(service))
    (built,) = services(kustomize(folder))
    assert parsed(built, "V1beta1InferenceService") == built
    assert built["spec"]["canary"] == service["spec"]["canary"]
    for name in ("minReplicas", "maxReplicas", "autoScaling"):
        assert built["spec"]["predictor"][name] == service["spec"]["predictor"][name]
    (canary,) = built["spec"]["canary"]
    assert canary["predictor"]["minReplicas"] <= built["spec"]["predictor"]["minReplicas"]

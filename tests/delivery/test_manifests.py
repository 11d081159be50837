import re

import yaml

from bonafide.delivery.manifests import inference_service, kustomization, to_yaml
from bonafide.delivery.modes import parse_service
from bonafide.telemetry import metrics
from tests.manifests.test_kserve import parsed


def test_kserves_own_type_knows_every_key():
    written = yaml.safe_load(to_yaml(inference_service("pets", "12", "s3://models/12", "bonafide-dev")))
    assert parsed(written, "V1beta1InferenceService") == written


def test_the_predictor_is_named_and_scaled_by_its_version():
    predictor = inference_service("pets", "12", "s3://models/12", "bonafide-dev")["spec"]["predictor"]
    assert predictor["name"] == "v12"
    assert predictor["labels"] == {"bonafide.dev/predictor": "v12"}
    (scaling,) = predictor["autoScaling"]["metrics"]
    query = scaling["external"]["metric"]["query"]
    assert set(re.findall(r"\bbonafide_\w+", query)) == {
        gauge._name for gauge in (metrics.QUEUE_IMAGES, metrics.QUEUE_LIMIT_IMAGES)
    }
    assert query.count('{namespace="bonafide-dev",inferenceservice="pets",predictor="v12"}') == 2
    assert query.startswith("sum("), "KEDA divides by the replicas itself"
    assert float(scaling["external"]["target"]["value"]) == 0.25, "KEDA reads a number, no quantity"


def test_the_version_is_told_to_the_predictor_as_text():
    written = yaml.safe_load(to_yaml(inference_service("pets", "12", "s3://models/12", "bonafide-dev")))
    environment = {item["name"]: item["value"] for item in written["spec"]["predictor"]["model"]["env"]}
    assert environment == {"BONAFIDE_MODEL_VERSION": "12"}
    assert written["metadata"]["labels"] == {"app.kubernetes.io/part-of": "bonafide"}, "they reach every pod"


def test_a_later_change_breaks_no_line_anew():
    text = to_yaml(inference_service("pets", "12", "s3://models/12", "bonafide-dev"))
    assert parse_service(text, "it").text == text


def test_the_kustomization_names_the_file_and_its_namespace():
    assert kustomization("bonafide-dev")["resources"] == ["inferenceservice.yaml"]
    assert kustomization("bonafide-dev")["namespace"] == "bonafide-dev"

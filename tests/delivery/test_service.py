"""What holds in both of KServe's modes."""

import pytest
import yaml

from bonafide.delivery.knative import Knative
from bonafide.delivery.modes import parse_service
from bonafide.delivery.standard import Standard
from bonafide.errors import DeliveryError
from tests.delivery.manifest import MODES, ONE, THREE, TWO, again, written
from tests.manifests.test_kserve import parsed


@pytest.fixture(params=MODES)
def service(request):
    return parse_service(written(request.param), "it")


def test_the_annotation_chooses_the_mode():
    for mode, kind in (("Knative", Knative), ("Serverless", Knative), ("RawDeployment", Standard)):
        assert isinstance(parse_service(written("Standard").replace("Standard", mode), "it"), kind)
    without = written("Standard").replace("    serving.kserve.io/deploymentMode: Standard\n", "")
    assert "deploymentMode" not in without and isinstance(parse_service(without, "it"), Standard)


def test_a_file_is_written_as_it_was_read(service):
    assert again(service).text == service.text
    assert "minReplicas: 1  # night" in service.text


@pytest.mark.parametrize("weight", [0, 10, 50, 100])
def test_a_canary_is_read_back_and_is_what_kserve_s_own_type_knows(service, weight):
    service.open(TWO, 0)
    service.weigh(weight, 3)
    now = again(service)
    assert (now.stable, now.canary, now.weight) == (ONE, TWO, weight)
    assert now.replicas >= 1
    content = yaml.safe_load(service.text)
    assert parsed(content, "V1beta1InferenceService") == content


@pytest.mark.parametrize("weight", [0, 10, 50, 100])
def test_a_trial_ends_with_all_traffic_to_the_stable_version_and_another_may_begin(service, weight):
    service.open(TWO, 0)
    service.weigh(weight, 3)
    service = again(service)
    service.drop()
    now = again(service)
    assert (now.stable, now.canary, now.weight, now.replicas) == (ONE, None, 0, 0)
    assert TWO.package_uri not in now.text
    now.open(THREE, 0)
    assert (again(now).stable, again(now).canary) == (ONE, THREE)
    assert "# night" in now.text


def test_the_canary_becomes_the_stable_version_by_its_package_label_and_variable(service):
    service.open(TWO, 0)
    service.weigh(100, 3)
    service = again(service)
    service.finish()
    now = again(service)
    assert (now.stable, now.canary, now.weight) == (TWO, None, 0)
    predictor = yaml.safe_load(now.text)["spec"]["predictor"]
    assert predictor["labels"] == {"bonafide.dev/predictor": "v2"}
    assert predictor["model"]["storageUri"] == TWO.package_uri
    assert predictor["model"]["env"] == [{"name": "BONAFIDE_MODEL_VERSION", "value": "2"}]
    assert "# night" in now.text


def test_a_version_replaces_another_at_once(service):
    service.replace(TWO)
    assert (again(service).stable, again(service).canary) == (TWO, None)
    service.replace(ONE)
    assert again(service).stable == ONE


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("rafficPercent: 25", "rafficPercent: 101", "give 0 to 100"),
        ("rafficPercent: 25", "rafficPercent: -1", "give 0 to 100"),
        ("rafficPercent: 25", "rafficPercent: many", "no InferenceService that Bonafide wrote|give 0 to 100"),
        ("  predictor:\n", "  model:\n", "no InferenceService that Bonafide wrote"),
        ("spec:", "spec: [", "no InferenceService that Bonafide wrote"),
    ],
)
def test_what_a_person_broke_is_told(service, old, new, said):
    service.open(TWO, 0)
    service.weigh(25, 1)
    assert old in service.text
    with pytest.raises(DeliveryError, match=said):
        parse_service(service.text.replace(old, new, 1), "it")

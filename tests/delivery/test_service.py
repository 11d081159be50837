import pytest
import yaml

from bonafide.delivery.manifests import inference_service, to_yaml
from bonafide.delivery.modes import parse_service
from bonafide.delivery.service import Served, Service
from bonafide.errors import DeliveryError
from tests.manifests.test_kserve import parsed

ONE, TWO = Served("1", "s3://models/1"), Served("2", "s3://models/2")


@pytest.fixture
def service():
    text = to_yaml(inference_service("pets", "1", "s3://models/1", "bonafide-dev"))
    return parse_service(text.replace("minReplicas: 1", "minReplicas: 1  # night"), "it")


def again(service: Service) -> Service:
    return parse_service(service.text, "it")


def test_a_file_is_written_as_it_was_read(service):
    assert again(service).text == service.text
    assert "minReplicas: 1  # night" in service.text


def test_a_canary_is_what_kserve_s_own_type_knows(service):
    service.open(TWO, 0)
    service.weigh(25, 6)
    written = yaml.safe_load(service.text)
    assert parsed(written, "V1beta1InferenceService") == written
    (canary,) = written["spec"]["canary"]
    assert canary["trafficPercent"] == 25
    assert canary["predictor"]["name"] == "v2"
    assert canary["predictor"]["labels"] == {"bonafide.dev/predictor": "v2"}
    assert canary["predictor"]["minReplicas"] <= written["spec"]["predictor"]["minReplicas"]
    model = canary["predictor"]["model"]
    assert (model["storageUri"], model["env"]) == (
        TWO.package_uri,
        [{"name": "BONAFIDE_MODEL_VERSION", "value": "2"}],
    )
    now = again(service)
    assert (now.stable, now.canary, now.weight, now.replicas) == (ONE, TWO, 25, 1)


@pytest.mark.parametrize("pods", [1, 2, 3, 9])
@pytest.mark.parametrize("weight", [10, 25, 50, 100])
def test_a_share_has_the_pods_to_carry_it_and_no_more_than_the_stable_version(service, weight, pods):
    service.open(TWO, 0)
    service.weigh(weight, pods)
    stable = service._spec["predictor"]["minReplicas"]
    assert 1 <= stable <= 3 and service.replicas <= stable
    assert service.replicas >= min(pods, 3) * weight / 100


def test_the_end_of_a_trial_leaves_no_trace(service):
    before = service.text
    service.open(TWO, 0)
    service.weigh(50, 3)
    service.drop()
    assert service.text == before


def test_the_end_of_a_rollout_renames_the_predictor(service):
    expected = to_yaml(inference_service("pets", "2", "s3://models/2", "bonafide-dev"))
    service.open(TWO, 0)
    service.weigh(100, 3)
    service.finish()
    assert yaml.safe_load(service.text) == yaml.safe_load(expected)
    assert "# night" in service.text


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("trafficPercent: 25", "trafficPercent: 101", "101 % of the traffic; give 0 to 100"),
        ("trafficPercent: 25", "trafficPercent: -1", "give 0 to 100"),
        ("trafficPercent: 25", "trafficPercent: many", "no InferenceService that Bonafide wrote"),
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


def test_several_canaries_are_not_judged(service):
    service.open(TWO, 0)
    content = yaml.safe_load(service.text)
    content["spec"]["canary"] *= 2
    with pytest.raises(DeliveryError, match="2 canaries"):
        parse_service(yaml.safe_dump(content), "it")

import pytest
import yaml

from bonafide.delivery.manifests import to_yaml
from bonafide.delivery.modes import parse_service
from bonafide.errors import DeliveryError
from tests.delivery.manifest import ONE, TWO, again, standard, written
from tests.manifests.test_kserve import parsed


@pytest.fixture
def service():
    return parse_service(written("Standard"), "it")


def test_a_canary_has_a_predictor_of_its_own(service):
    service.open(TWO, 0)
    service.weigh(25, 6)
    content = yaml.safe_load(service.text)
    assert parsed(content, "V1beta1InferenceService") == content
    (canary,) = content["spec"]["canary"]
    assert canary["trafficPercent"] == 25
    assert canary["predictor"]["name"] == "v2"
    assert canary["predictor"]["labels"] == {"bonafide.dev/predictor": "v2"}
    assert canary["predictor"]["minReplicas"] <= content["spec"]["predictor"]["minReplicas"]
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
    stable = yaml.safe_load(service.text)["spec"]["predictor"]["minReplicas"]
    assert 1 <= stable <= 3 and service.replicas <= stable
    assert service.replicas >= min(pods, 3) * weight / 100


def test_a_rollout_may_begin_with_a_share(service):
    service.open(TWO, 10)
    assert (again(service).canary, again(service).weight, again(service).replicas) == (TWO, 10, 1)


def test_the_end_of_a_trial_leaves_no_trace(service):
    before = service.text
    service.open(TWO, 0)
    service.weigh(50, 3)
    service.drop()
    assert service.text == before


def test_the_end_of_a_rollout_renames_the_predictor(service):
    service.open(TWO, 0)
    service.weigh(100, 3)
    service.finish()
    assert yaml.safe_load(service.text) == yaml.safe_load(to_yaml(standard("2")))


def test_several_canaries_are_not_judged(service):
    service.open(TWO, 0)
    content = yaml.safe_load(service.text)
    content["spec"]["canary"] *= 2
    with pytest.raises(DeliveryError, match="2 canaries"):
        parse_service(yaml.safe_dump(content), "it")

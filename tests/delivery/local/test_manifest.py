import pytest

from bonafide.delivery.current import InService
from bonafide.delivery.local.manifest import Arm, read_arms
from bonafide.delivery.manifests import inference_service, to_yaml
from bonafide.delivery.modes import parse_service
from bonafide.errors import DeliveryError
from tests.delivery.manifest import TWO
from tests.delivery.manifest import written as file_of


def predictor(version):
    return inference_service("pets", version, f"s3://models/{version}", "bonafide-dev")["spec"]["predictor"]


@pytest.fixture
def written(tmp_path):
    """Writes a manifest with these canaries, reads it back."""

    def write(*canaries, **changes):
        content = inference_service("pets", "1", "s3://models/1", "bonafide-dev")
        content["spec"]["predictor"] |= changes
        content["spec"]["canary"] = list(canaries)
        path = tmp_path / "environments" / "dev" / "pets" / "inferenceservice.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(to_yaml(content))
        return read_arms(tmp_path, "dev", "pets")

    return write


def canary(version, percent):
    return {"trafficPercent": percent, "predictor": predictor(version)}


def arm(version, percent):
    return Arm(f"v{version}", InService("pets", version, f"s3://models/{version}"), percent)


def test_the_stable_predictor_takes_what_the_canaries_leave(written):
    assert written() == (arm("1", 100),)
    assert written(canary("2", 25), canary("3", 0)) == (arm("1", 75), arm("2", 25), arm("3", 0))
    assert written(canary("2", 100)) == (arm("1", 0), arm("2", 100))


@pytest.mark.parametrize("percent", [-1, 101, "10", 1.5, True, None])
def test_a_percent_out_of_range_is_refused(written, percent):
    with pytest.raises(DeliveryError, match=r"trafficPercent of v2 is .*; give 0 to 100|no InferenceService"):
        written(canary("2", percent))


def test_more_than_all_is_refused(written):
    with pytest.raises(DeliveryError, match="trafficPercent is 101 in sum; give 100 or less"):
        written(canary("2", 51), canary("3", 50))


def test_a_name_is_given_once(written):
    with pytest.raises(DeliveryError, match="several predictors are named v1"):
        written(canary("1", 10))


def test_the_share_of_the_other_mode_is_refused(written):
    with pytest.raises(DeliveryError, match="canaryTrafficPercent, which counts in Knative mode only"):
        written(canaryTrafficPercent=10)


def test_a_file_for_knative_is_served_by_its_share_and_without_what_was_rolled_back(written, tmp_path):
    written()
    path = tmp_path / "environments" / "dev" / "pets" / "inferenceservice.yaml"
    service = parse_service(file_of("Knative"), "it")

    def arms():
        path.write_text(service.text)
        return read_arms(tmp_path, "dev", "pets")

    assert arms() == (arm("1", 100),)
    service.open(TWO, 0)
    assert arms() == (arm("1", 100), arm("2", 0))
    service.weigh(25, 1)
    assert arms() == (arm("1", 75), arm("2", 25))
    service.drop()
    assert arms() == (arm("1", 100),)


@pytest.mark.parametrize(
    "content", ["", "a: [", "- 1", "spec: {}", "spec: {predictor: {model: {env: []}}}", "spec: 1"]
)
def test_another_manifest_is_refused(written, tmp_path, content):
    written()
    (tmp_path / "environments" / "dev" / "pets" / "inferenceservice.yaml").write_text(content)
    with pytest.raises(DeliveryError, match="no InferenceService that Bonafide wrote"):
        read_arms(tmp_path, "dev", "pets")


@pytest.mark.parametrize("entry", [{"trafficPercent": 10}, {"predictor": predictor("2")}, "v2"])
def test_another_canary_is_refused(written, entry):
    with pytest.raises(DeliveryError, match="no InferenceService that Bonafide wrote"):
        written(entry)

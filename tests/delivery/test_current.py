from pathlib import Path

import pytest

from bonafide.delivery.current import InService, in_service
from bonafide.delivery.manifests import inference_service, to_yaml
from bonafide.delivery.modes import parse_service
from bonafide.errors import DeliveryError
from tests.delivery.manifest import TWO, written


@pytest.fixture
def manifest(tmp_path):
    path = tmp_path / "environments" / "dev" / "pets" / "inferenceservice.yaml"
    path.parent.mkdir(parents=True)
    return path


def test_what_was_written_is_read_back(tmp_path, manifest):
    uri = (tmp_path / "a blank#and%20more" / "package").as_uri()
    manifest.write_text(to_yaml(inference_service("pets", "12", uri, "bonafide-dev")))
    found = in_service(str(tmp_path), "dev", "pets")
    assert found == InService("pets", "12", uri)
    assert found.package == tmp_path / "a blank#and%20more" / "package"


def test_a_canary_is_not_in_service_though_the_predictor_holds_it(tmp_path, manifest):
    service = parse_service(written("Knative"), "it")
    service.open(TWO, 0)
    service.weigh(50, 1)
    manifest.write_text(service.text)
    assert in_service(str(tmp_path), "dev", "pets") == InService("pets", "1", "s3://models/1")


def test_a_plain_path_is_a_folder():
    assert InService("pets", "1", "/models/1").package == Path("/models/1")


@pytest.mark.usefixtures("registry")
def test_one_that_the_registry_does_not_know_is_not_fetched(record):
    version = record()
    with pytest.raises(DeliveryError, match=r"at s3://bucket/1, which this registry does not know"):
        _ = InService(version.task, version.number, "s3://bucket/1").package
    with pytest.raises(DeliveryError, match="has no version '9'"):
        _ = InService(version.task, "9", "s3://bucket/9").package


def test_before_the_first_promotion_it_is_said(tmp_path):
    with pytest.raises(DeliveryError, match="nothing is in service for pets in dev; train"):
        in_service(str(tmp_path), "dev", "pets")


@pytest.mark.parametrize(
    "content", ["", "a: [", "- 1", "spec: {}", "spec: {predictor: {model: {env: [{name: X, value: '1'}]}}}"]
)
def test_another_manifest_is_refused(tmp_path, manifest, content):
    manifest.write_text(content)
    with pytest.raises(DeliveryError, match="no InferenceService that Bonafide wrote"):
        in_service(str(tmp_path), "dev", "pets")

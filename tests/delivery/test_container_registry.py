"""From a signed package to a pinned image in the manifest, and back on a machine that knows only the key."""

import pytest
import yaml

from bonafide.cli.place import source
from bonafide.delivery.current import in_service
from bonafide.delivery.promote import promote_version
from bonafide.doctor import examine
from bonafide.errors import DeliveryError
from bonafide.files import folder_digest
from bonafide.home import DELIVERY, PACKAGES, REGISTRY
from bonafide.model.package import verify
from bonafide.registry.tracking import client
from bonafide.registry.versions import champion, get
from tests import mlflow_server
from tests.container_registry import behind_password, log_in, running
from tests.delivery.git_server import served
from tests.delivery.test_repository import git

TASK = "authenticity"
SERVICE = f"environments/prod/{TASK}/inferenceservice.yaml"


@pytest.fixture(scope="module")
def mlflow(empty_registry, tmp_path_factory):
    """A server that keeps artifacts to itself, where no cluster can fetch them."""
    folder = tmp_path_factory.mktemp("mlflow")
    options = ("--artifacts-destination", str(folder / "store"))
    with mlflow_server.running(empty_registry, folder, *options) as url:
        yield url


@pytest.fixture
def delivery(mlflow, tmp_path, monkeypatch):
    with served(tmp_path) as server:
        for name, value in {REGISTRY: mlflow, DELIVERY: server.url, **server.credentials()}.items():
            monkeypatch.setenv(name, value)
        yield server
    for model in client().search_registered_models():
        client().delete_registered_model(model.name)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A repository behind a password, which this machine knows."""
    folder = tmp_path / "images"
    folder.mkdir()
    with running(folder, **behind_password(folder)) as images:
        monkeypatch.setenv("DOCKER_CONFIG", str(log_in(tmp_path / "docker", images.host)))
        monkeypatch.setenv(PACKAGES, images.place)
        yield images.place


def packages_finding():
    return next(finding for finding in examine(TASK) if finding.what == "packages")


def test_a_version_goes_into_service_as_a_pinned_image(made, delivery, place, record, tmp_path, monkeypatch):
    assert not [finding for finding in examine(TASK) if finding.broken]
    version = record(made.package)
    assert version.uri.startswith(f"{place}/{TASK}@sha256:")
    assert record(made.package) == version
    promote_version(TASK, version.number, delivery.url, "prod")
    manifest = yaml.safe_load(git(delivery.folder, "show", f"main:{SERVICE}"))
    assert manifest["spec"]["predictor"]["model"]["storageUri"] == version.uri

    monkeypatch.setenv("BONAFIDE_HOME", str(tmp_path / "another machine"))
    assert champion(TASK) == version
    fetched = source(f"models:/{TASK}@champion", "", TASK)()[version.number]
    assert fetched == tmp_path / "another machine" / "packages" / folder_digest(made.package)
    assert verify(fetched, made.keys / "signing.pub")
    assert in_service(delivery.url, "prod", TASK).package == fetched


def test_without_it_the_server_s_own_place_is_refused_with_both_ways_out(made, delivery, record):
    version = record(made.package)
    with pytest.raises(DeliveryError, match=r"--default-artifact-root .* or name .* BONAFIDE_PACKAGES"):
        promote_version(TASK, version.number, delivery.url, "prod")


@pytest.mark.parametrize("end", ["", ":latest", "@sha256:12ab"])
def test_an_image_that_can_change_is_not_promoted(made, registry, record, tmp_path, end):
    version = record(made.package)
    uri = f"oci://registry.example.org/models/{TASK}{end}"
    moving = client().create_model_version(TASK, uri, version.run, tags=version.tags)
    with pytest.raises(DeliveryError, match="has no digest and can stand for another image tomorrow"):
        promote_version(TASK, str(moving.version), str(tmp_path / "delivery"), "prod")
    assert champion(TASK) is None
    assert get(TASK, str(moving.version)).uri == uri


def test_doctor_pushes_and_reads_back(delivery, place, tmp_path, monkeypatch):
    found = packages_finding()
    assert (found.where, found.found) == (f"{place}/{TASK}", "can be pushed and read back")
    monkeypatch.setenv("DOCKER_CONFIG", str(log_in(tmp_path / "stranger", "elsewhere.example.org")))
    found = packages_finding()
    assert found.broken
    assert "with 401 Unauthorized; log in as for Docker" in found.found


@pytest.mark.parametrize(
    ("named", "said"),
    [("oci://127.0.0.1:9/models", "does not answer"), ("oci://registry/models", "HOST with a dot or a port")],
)
def test_doctor_tells_what_is_wrong_with_the_place(monkeypatch, named, said):
    monkeypatch.setenv(PACKAGES, named)
    found = packages_finding()
    assert found.broken
    assert said in found.found

"""The manifests keep to KServe's own types, and the runtime starts the command line that there is."""

import json
from pathlib import Path
from types import SimpleNamespace

import kserve
import typer
import yaml
from kubernetes.client import ApiClient
from starlette.testclient import TestClient

import bonafide
from bonafide.cli.serve import serve
from bonafide.delivery.manifests import inference_service

FOLDER = Path(__file__).parents[2] / "kserve"


def load(name: str) -> dict:
    return yaml.safe_load((FOLDER / name).read_text())


def parsed(content: dict, kind: str):
    """The manifest as an object of the client library; what its types do not know would be lost."""

    class Client(ApiClient):
        def _ApiClient__deserialize(self, data, klass):  # noqa: N802
            if klass == "V1beta1MetricQuantity":  # its own types name it, and there is none
                return data
            if isinstance(klass, str) and hasattr(kserve, klass):
                klass = getattr(kserve, klass)
            return super()._ApiClient__deserialize(data, klass)

    client = Client()
    result = client.deserialize(SimpleNamespace(data=json.dumps(content)), kind)
    return client.sanitize_for_serialization(result)


def delivered() -> dict:
    """The model of a service that a promotion writes."""
    return inference_service("authenticity", "12", "s3://models/12", "bonafide-dev")["spec"]["predictor"][
        "model"
    ]


def container() -> dict:
    (only,) = load("runtime.yaml")["spec"]["containers"]
    return only


def test_nothing_is_unknown_to_kserves_type():
    assert parsed(load("runtime.yaml"), "V1alpha1ServingRuntime") == load("runtime.yaml")


def test_the_runtime_starts_the_real_command(monkeypatch):
    started = {}
    monkeypatch.setattr("bonafide.serving.server.serve", lambda _, **named: started.update(named))
    monkeypatch.setattr("bonafide.serving.models.reload.Watcher.start", lambda _: None)
    monkeypatch.setattr(
        "bonafide.serving.models.locations.folder", lambda *given: started.update(folder=given)
    )
    monkeypatch.setattr("bonafide.cli.place.loader", lambda *given: started.update(loader=given))
    monkeypatch.setattr("bonafide.telemetry.logs.configure", lambda: None)
    app = typer.Typer()
    app.command()(serve)
    app.command()(lambda: None)
    assert container()["args"][0] == "serve"
    for variable in delivered()["env"]:
        monkeypatch.setenv(variable["name"], variable["value"])
    app(container()["args"], standalone_mode=False)
    ports = {port["name"]: port["containerPort"] for port in container()["ports"]}
    assert started["folder"] == (Path("/mnt/models"), "12")
    key, _ = started["loader"]
    assert key == Path("/etc/bonafide/keys/signing.pub")
    assert (started["http_port"], started["grpc_port"]) == (ports["http1"], ports["grpc"])
    assert started["host"] == "0.0.0.0"


def test_the_key_is_mounted_where_the_command_reads_it():
    (mount,) = container()["volumeMounts"]
    assert f"--public-key={mount['mountPath']}/signing.pub" in container()["args"]
    assert mount["name"] in [volume["name"] for volume in load("runtime.yaml")["spec"]["volumes"]]


def test_the_image_is_of_this_version():
    assert container()["image"] == f"ghcr.io/bonafide/predictor:{bonafide.__version__}"


def test_the_container_has_no_privileges():
    context = container()["securityContext"]
    assert context["runAsNonRoot"] is True
    assert context["readOnlyRootFilesystem"] is True
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}


def test_probes_ask_what_the_server_answers():
    from bonafide.serving.edge.body import Budget
    from bonafide.serving.edge.limits import Limits
    from bonafide.serving.models.versions import Models
    from bonafide.serving.v2.rest import create_app

    client = TestClient(create_app(Models(), Limits(), Budget(0)))
    assert client.get("/v2/health/other").status_code == 404
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert client.get(container()[probe]["httpGet"]["path"]).status_code in (200, 503)
        assert container()[probe]["httpGet"]["port"] == container()["ports"][0]["containerPort"]


def test_a_delivered_service_uses_the_runtime_and_its_format():
    runtime, model = load("runtime.yaml"), delivered()
    assert model["runtime"] == runtime["metadata"]["name"]
    formats = [
        {key: entry[key] for key in ("name", "version")} for entry in runtime["spec"]["supportedModelFormats"]
    ]
    assert model["modelFormat"] in formats
    assert model["protocolVersion"] in runtime["spec"]["protocolVersions"]


def test_every_manifest_belongs_to_the_kustomization():
    named = {FOLDER / resource for resource in load("kustomization.yaml")["resources"]}
    assert named == {path for path in FOLDER.glob("*.yaml") if path.name != "kustomization.yaml"}


def test_the_runtime_for_knative_has_one_port_and_no_lifecycle(kustomize):
    """More than that Knative's webhook refuses."""
    (made,) = kustomize("infra/knative")
    expected = load("runtime.yaml")
    (only,) = expected["spec"]["containers"]
    del only["lifecycle"]
    only["ports"] = [{"name": "http1", "containerPort": 8080, "protocol": "TCP"}]
    assert made == expected


def test_kustomize_renders_the_runtime(kustomize):
    assert kustomize(FOLDER) == [load("runtime.yaml")]

"""What closes the loop on a cluster: the store, the collector, the service API that starts pipelines."""

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import typer
import yaml
from kubernetes.utils import parse_quantity

import bonafide
from bonafide.cli.api import api
from bonafide.feedback.spool import LIMIT_BYTES
from bonafide.home import STORE
from bonafide.serving.api import app as application
from bonafide.serving.api import server
from bonafide.serving.api.settings import Settings
from tests.manifests.commands import parsed_command
from tests.manifests.security import violations
from tests.packages import TOPIC

ROOT = Path(__file__).parents[2]
FOLDERS = ("store", "collector", "training")
WORKLOADS = {
    "store": "Job/store-tables",
    "collector": "Deployment/collector",
    "training": "Deployment/service-api",
}
IMAGES = {"store": "predictor", "collector": "predictor", "training": "pipeline"}


@pytest.fixture
def objects(kustomize):
    """Of a folder, by kind and name."""
    return lambda folder: {
        f"{item['kind']}/{item['metadata']['name']}": item for item in kustomize(f"infra/{folder}")
    }


@pytest.fixture
def pod(objects):
    """The labels, the spec and the only container of what a folder starts."""

    def found(folder: str) -> tuple[dict, dict, dict]:
        template = objects(folder)[WORKLOADS[folder]]["spec"]["template"]
        (container,) = template["spec"]["containers"]
        return template["metadata"]["labels"], template["spec"], container

    return found


def environment(container: dict) -> dict[str, dict]:
    return {each["name"]: each for each in container["env"]}


def named(name: str, items: list[dict]) -> dict:
    (found,) = [each for each in items if each["name"] == name]
    return found


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_pod_is_refused_nothing_and_finds_what_it_mounts(pod, folder):
    _, spec, container = pod(folder)
    assert violations(spec) == []
    assert spec["automountServiceAccountToken"] is False
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert container["image"] == f"ghcr.io/bonafide/{IMAGES[folder]}:{bonafide.__version__}"
    assert set(container["resources"]["limits"]) == {"cpu", "memory"}
    volumes = {volume["name"] for volume in spec.get("volumes", [])}
    assert {mount["name"] for mount in container.get("volumeMounts", [])} == volumes


@pytest.mark.parametrize("folder", ["store", "collector"])
def test_the_store_s_address_is_a_secret_that_must_be_there(pod, folder):
    labels, _, container = pod(folder)
    parsed_command(container["args"])
    assert environment(container)[STORE]["valueFrom"] == {
        "secretKeyRef": {"name": "service-api-store", "key": "url"}
    }
    assert labels["bonafide.dev/asks-store"] == "true"


def test_who_asks_the_store_may_leave_and_is_let_in(objects):
    policies = [item["spec"] for name, item in objects("store").items() if name.startswith("NetworkPolicy/")]
    leaving = [each for each in policies if each["policyTypes"] == ["Egress"]]
    (entering,) = [each for each in policies if each["policyTypes"] == ["Ingress"]]
    let_in = [peer.get("podSelector") for peer in entering["ingress"][0]["from"]]
    for policy in leaving:
        assert policy["podSelector"] in let_in
        (rule,) = policy["egress"]
        inside, outside = rule["to"]
        assert inside["podSelector"] == entering["podSelector"]
        assert outside["ipBlock"]["except"] == ["169.254.0.0/16"]
        assert rule["ports"] == entering["ingress"][0]["ports"] == [{"protocol": "TCP", "port": 5432}]


def test_the_collector_listens_where_the_logger_sends(objects, pod):
    labels, _, container = pod("collector")
    (port,) = container["ports"]
    told = parsed_command(container["args"])
    assert (told["host"], told["port"]) == ("0.0.0.0", port["containerPort"])
    policies = yaml.safe_load_all((ROOT / "infra/namespaces/base/network.yaml").read_text())
    (policy,) = (each["spec"] for each in policies if each["metadata"]["name"] == "payloads-are-collected")
    assert policy["podSelector"]["matchLabels"].items() <= labels.items()
    service = objects("collector")["Service/collector"]
    assert service["spec"]["selector"].items() <= labels.items()
    guide = (ROOT / "docs/how-to/feedback.md").read_text()
    (address,) = re.findall(r"url: (http://\S+)", guide)
    host = urlsplit(address)
    assert host.hostname.split(".")[:2] == [service["metadata"]["name"], "bonafide-dev"]
    assert host.port == service["spec"]["ports"][0]["port"]


def test_the_collector_is_alone_and_its_spool_outlives_it(objects, pod):
    _, spec, container = pod("collector")
    deployment = objects("collector")["Deployment/collector"]["spec"]
    assert (deployment["replicas"], deployment["strategy"]) == (1, {"type": "Recreate"})
    (mount,), (volume,) = container["volumeMounts"], spec["volumes"]
    assert environment(container)["BONAFIDE_HOME"]["value"] == mount["mountPath"]
    claim = objects("collector")[f"PersistentVolumeClaim/{volume['persistentVolumeClaim']['claimName']}"]
    assert parse_quantity(claim["spec"]["resources"]["requests"]["storage"]) > LIMIT_BYTES


def test_pipelines_and_alerts_are_taken_by_the_real_command(objects, pod, tmp_path, monkeypatch):
    _, spec, container = pod("training")
    (tmp_path / "engine").mkdir()
    (tmp_path / "hook").mkdir()
    (tmp_path / "engine/kubeflow.yaml").write_text((ROOT / "engines/kubeflow.example.yaml").read_text())
    (tmp_path / "hook/token").write_text("t" * 64)
    (configuration,) = (item for name, item in objects("training").items() if name.startswith("ConfigMap/"))
    plain = {name: each["value"] for name, each in environment(container).items() if "value" in each}
    for name, value in (configuration["data"] | plain).items():
        monkeypatch.setenv(name, value.replace("/etc/bonafide", str(tmp_path)))
    started = {}
    monkeypatch.setattr(application, "create_app", lambda *given, **named: started.update(named) or given)
    monkeypatch.setattr(server, "serve", lambda app, *_, **__: started.update(settings=app[1]))
    command = typer.Typer()
    command.command()(api)
    command.command()(lambda: None)
    command(container["args"], standalone_mode=False)
    assert started["engine"] == str(tmp_path / "engine/kubeflow.yaml")
    assert started["settings"].hook_token.get_secret_value() == "t" * 64
    assert spec["serviceAccountName"] == "service-api"


def test_runs_wait_in_a_volume_that_one_pod_has(objects, pod):
    _, spec, container = pod("training")
    deployment = objects("training")["Deployment/service-api"]["spec"]
    assert (deployment["replicas"], deployment["strategy"]) == (1, {"type": "Recreate"})
    assert named("home", spec["volumes"])["persistentVolumeClaim"] == {"claimName": "service-api"}
    assert "emptyDir" not in named("home", spec["volumes"])
    assert "PersistentVolumeClaim/service-api" in objects("training")
    places = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert environment(container)["BONAFIDE_HOME"]["value"] == places["home"]


def test_it_has_the_same_token_for_kubeflow_as_the_workflow_that_submits(pod):
    _, spec, container = pod("training")
    workflow = yaml.safe_load((ROOT / "infra/workflows/bonafide.yaml").read_text())["spec"]
    (submit,) = [each["container"] for each in workflow["templates"] if each["name"] == "submit"]
    assert named("kubeflow-token", container["volumeMounts"]) == named(
        "kubeflow-token", submit["volumeMounts"]
    )
    assert named("kubeflow-token", spec["volumes"]) == named("kubeflow-token", workflow["volumes"])


def test_it_reaches_kubeflow_and_alertmanager_reaches_it_with_the_secret(objects, pod):
    labels, spec, _ = pod("training")
    found = objects("training")
    submits = found["NetworkPolicy/service-api-submits"]["spec"]
    assert submits["podSelector"]["matchLabels"].items() <= labels.items()
    (way,) = submits["egress"]
    assert way["to"][0]["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "kubeflow"}
    text = (ROOT / "infra/monitoring/alerts/alertmanager.yml").read_text()
    receiver = named("training", yaml.safe_load(text)["receivers"])
    address = urlsplit(receiver["webhook_configs"][0]["url"])
    service = found["Service/service-api"]
    assert address.hostname == f"{service['metadata']['name']}.bonafide-dev.svc"
    assert (address.port or 80) == service["spec"]["ports"][0]["port"]
    settings = Settings(secret="s" * 40, issuer="i", audience="a", hook_token="t" * 64)
    assert address.path in application.create_app(None, settings, TOPIC, engine="").openapi()["paths"]
    secret = named("hook", spec["volumes"])["secret"]["secretName"]
    page = (ROOT / "docs/how-to/train-by-request.md").read_text()
    assert f"secret generic {secret} --namespace bonafide-dev --from-file=token=hook-token" in page


def test_runs_are_asked_for_from_outside_and_alerts_come_from_within(objects):
    route = objects("training")["HTTPRoute/service-api"]["spec"]
    paths = {match["path"]["value"] for rule in route["rules"] for match in rule["matches"]}
    assert paths == {"/predict", "/feedback", "/pipelines", "/docs", "/openapi.json", "/health"}


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_built_in_kinds_hold_their_schemas(objects, folder):
    kubernetes_validate = pytest.importorskip(
        "kubernetes_validate", reason="kubernetes_validate is not installed"
    )
    for item in objects(folder).values():
        if item["kind"] != "HTTPRoute":
            kubernetes_validate.validate(item, kubernetes_validate.latest_version(), strict=True)

"""The service API's manifests start the real command, and let it speak to what it needs and nothing else."""

import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import typer
import yaml
from starlette.testclient import TestClient

import bonafide
from bonafide.cli.api import api
from bonafide.feedback.spool import LIMIT_BYTES
from bonafide.home import STORE
from bonafide.serving.api import app as application
from bonafide.serving.api import server
from bonafide.serving.api.settings import Settings
from tests.packages import TOPIC

FOLDER = Path(__file__).parents[2] / "infra/api"
RUNTIME = FOLDER.parents[1] / "kserve/runtime.yaml"


def documents(name: str) -> list[dict]:
    return list(yaml.safe_load_all((FOLDER / name).read_text()))


def pod() -> dict:
    return documents("deployment.yaml")[0]["spec"]["template"]["spec"]


def container() -> dict:
    (only,) = pod()["containers"]
    return only


def test_the_deployment_starts_the_real_command(monkeypatch):
    started = {}
    monkeypatch.setattr(application, "create_app", lambda *given, **_: given)
    monkeypatch.setattr(server, "serve", lambda app, *_, **named: started.update(named, app=app))
    (generated,) = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["configMapGenerator"]
    assert container()["envFrom"] == [{"configMapRef": {"name": generated["name"]}}]
    for literal in generated["literals"]:
        monkeypatch.setenv(*literal.split("=", 1))
    command = typer.Typer()
    command.command()(api)
    command.command()(lambda: None)
    command(container()["args"], standalone_mode=False)
    _, settings, *_ = started["app"]
    assert settings.needs_token
    assert settings.issuer == "https://login.example.org"
    assert started["host"] == "0.0.0.0"
    assert started["port"] == container()["ports"][0]["containerPort"]


def test_it_is_the_predictors_image_with_no_more_rights():
    (predictor,) = yaml.safe_load(RUNTIME.read_text())["spec"]["containers"]
    assert container()["image"] == predictor["image"] == f"ghcr.io/bonafide/predictor:{bonafide.__version__}"
    assert container()["securityContext"] == predictor["securityContext"]
    assert pod()["automountServiceAccountToken"] is False


def test_probes_ask_what_the_application_answers(signed_app):
    paths = signed_app.openapi()["paths"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container()[probe]["httpGet"]["path"] in paths
        assert container()[probe]["httpGet"]["port"] == container()["ports"][0]["containerPort"]


@pytest.fixture
def signed_app():
    return application.create_app(None, Settings(), TOPIC)


def gateways() -> dict[str, dict]:
    """The gateways by name."""
    items = yaml.safe_load_all((FOLDER.parent / "gateways/gateways.yaml").read_text())
    return {item["metadata"]["name"]: item for item in items if item["kind"] == "Gateway"}


def named(rule: dict) -> set[str]:
    """The gateways whose pods a rule of a policy is about."""
    selectors = [
        peer.get("podSelector", {}).get("matchLabels", {}) for peer in rule.get("from", rule.get("to"))
    ]
    return {labels.get("gateway.networking.k8s.io/gateway-name") for labels in selectors} - {None}


def ingress_of_kserve() -> dict:
    return json.loads(yaml.safe_load((FOLDER.parent / "kserve/ingress.yaml").read_text())["data"]["ingress"])


def test_the_public_gateway_asks_it_and_it_asks_predictors_through_the_internal_one():
    policy, counting = (document["spec"] for document in documents("network.yaml"))
    (ingress,) = policy["ingress"]
    assert named(ingress) == {"public"}
    assert ingress["ports"][0]["port"] == container()["ports"][0]["containerPort"]
    internal, redis, database, keys = policy["egress"]
    assert named(internal) == {"internal"}
    assert [port["port"] for port in internal["ports"]] == [
        listener["port"] for listener in gateways()["internal"]["spec"]["listeners"]
    ]
    (counted,) = counting["ingress"]
    assert redis["to"] == [{"podSelector": counting["podSelector"]}]
    assert counted["from"] == [{"podSelector": policy["podSelector"]}]
    assert redis["ports"] == counted["ports"] == [{"protocol": "TCP", "port": 6379}]
    assert [port["port"] for port in database["ports"]] == [5432]
    for blocks in (database["to"], keys["to"]):
        assert blocks[-1]["ipBlock"]["except"] == ["169.254.0.0/16"]


def test_what_waits_for_the_database_has_a_place_where_it_may_write():
    environment = {each["name"]: each for each in container()["env"]}
    store = environment[STORE]["valueFrom"]["secretKeyRef"]
    assert store["optional"]
    (mount,) = container()["volumeMounts"]
    (volume,) = pod()["volumes"]
    assert environment["BONAFIDE_HOME"]["value"] == mount["mountPath"]
    assert volume == {"name": mount["name"], "emptyDir": {"sizeLimit": "1Gi"}}
    assert LIMIT_BYTES < 2**30


def test_it_asks_the_stable_host_and_no_predictors_service():
    arguments = dict(argument.lstrip("-").split("=", 1) for argument in container()["args"][1:])
    service, namespace, *_ = urlsplit(arguments["url"]).hostname.split(".")
    gateway = gateways()[service.removesuffix("-istio")]
    assert gateway["metadata"] == {"name": "internal", "namespace": namespace}
    (generated,) = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["configMapGenerator"]
    told = dict(literal.split("=", 1) for literal in generated["literals"])
    settings = ingress_of_kserve()
    template = settings["domainTemplate"].replace("{{ .IngressDomain }}", settings["ingressDomain"])
    host = template.replace("{{ .Name }}", arguments["model"]).replace("{{ .Namespace }}", "bonafide-dev")
    assert told["BONAFIDE_PREDICTOR_HOST"] == host
    assert told["BONAFIDE_API_TRUSTED_PROXIES"]


def test_kserve_writes_weighted_routes_and_for_the_internal_gateway_only():
    settings = ingress_of_kserve()
    assert settings["enableGatewayApi"] is True
    assert settings["disableIngressCreation"] is False
    namespace, name = settings["kserveIngressGateway"].split("/")
    assert gateways()[name]["metadata"] == {"name": "internal", "namespace": namespace}
    assert settings["ingressDomain"] != "svc.cluster.local", "KServe would write no route"
    assert settings["ingressGateway"], "KServe's controller refuses a configuration without it"
    annotations = gateways()["internal"]["spec"]["infrastructure"]["annotations"]
    assert annotations == {"networking.istio.io/service-type": "ClusterIP"}


def test_the_open_network_reaches_neither_metrics_nor_readiness(signed_app):
    route = documents("route.yaml")[0]["spec"]
    assert [parent["name"] for parent in route["parentRefs"]] == ["public"]
    matches = [match["path"] for rule in route["rules"] for match in rule["matches"]]
    public = {path for path in signed_app.openapi()["paths"] if any(_fits(path, match) for match in matches)}
    assert public == {"/predict", "/predict/batch", "/predict/explain", "/health"}
    (service,) = documents("service.yaml")
    assert route["rules"][0]["backendRefs"] == [{"name": service["metadata"]["name"], "port": 80}]


def _fits(path: str, match: dict) -> bool:
    return path == match["value"] or (match["type"] == "PathPrefix" and path.startswith(f"{match['value']}/"))


def test_its_readiness_does_not_fall_with_the_predictors():
    class Away:
        async def ready(self):
            return False

        async def close(self):
            pass

    with TestClient(application.create_app(Away(), Settings(), TOPIC)) as client:
        assert client.get("/ready").status_code == 503
        assert client.get(container()["readinessProbe"]["httpGet"]["path"]).status_code == 200


@pytest.mark.parametrize("name", ["deployment.yaml", "service.yaml", "network.yaml"])
def test_the_built_in_kinds_hold_their_schemas(name):
    kubernetes_validate = pytest.importorskip(
        "kubernetes_validate", reason="kubernetes_validate is not installed"
    )
    for document in documents(name):
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)

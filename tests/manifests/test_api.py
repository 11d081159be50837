"""The service API's manifests start the real command, and let it speak to what it needs and nothing else."""

from pathlib import Path

import pytest
import typer
import yaml

import bonafide
from bonafide.cli.api import api
from bonafide.serving.api import app as application
from bonafide.serving.api import server

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
    monkeypatch.setattr(application, "create_app", lambda *given: given)
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
    from bonafide.serving.api.settings import Settings
    from bonafide.serving.edge.limits import Limits

    return application.create_app(None, Settings(), Limits())


def test_it_asks_predictors_on_their_port_and_keys_over_https():
    mine, theirs = (document["spec"] for document in documents("network.yaml"))
    asked, keys = mine["egress"]
    assert asked["to"][0]["podSelector"] == theirs["podSelector"]
    assert asked["ports"] == theirs["ingress"][0]["ports"]
    assert keys["to"][0]["ipBlock"]["except"] == ["169.254.0.0/16"]
    assert mine["podSelector"] == theirs["ingress"][0]["from"][0]["podSelector"]
    assert mine["ingress"][0]["ports"][0]["port"] == container()["ports"][0]["containerPort"]


@pytest.mark.parametrize("name", ["deployment.yaml", "service.yaml", "network.yaml"])
def test_the_built_in_kinds_hold_their_schemas(name):
    kubernetes_validate = pytest.importorskip(
        "kubernetes_validate", reason="kubernetes_validate is not installed"
    )
    for document in documents(name):
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)

"""Argo Workflows start the commands that people type, without rights of their own."""

import re
from pathlib import Path

import pytest
import yaml

import bonafide
from tests.manifests.commands import parsed_command
from tests.manifests.security import violations

ROOT = Path(__file__).parents[2]
MINE = ROOT / "infra/workflows/bonafide.yaml"
BUILD = ROOT / "infra/builds/refresh-image.yaml"
PARAMETER = re.compile(r"\{\{workflow\.parameters\.([\w-]+)\}\}")


def spec(path: Path) -> dict:
    return yaml.safe_load(path.read_text())["spec"]


def merged(template: dict, defaults: dict) -> dict:
    """A container with the defaults of all, as Argo merges it: lists by their name or path."""

    def listed(name: str, key: str) -> list[dict]:
        both = {item[key]: item for item in (*defaults.get(name, []), *template.get(name, []))}
        return list(both.values())

    return {
        **defaults,
        **template,
        "env": listed("env", "name"),
        "volumeMounts": listed("volumeMounts", "mountPath"),
    }


def pods() -> dict[str, dict]:
    """The pod of each of our templates, less what Argo's executor adds."""
    content = spec(MINE)
    defaults = content["templateDefaults"]["container"]
    return {
        template["name"]: {
            "containers": [merged(template["container"], defaults) | {"name": "main"}],
            "securityContext": content["securityContext"],
            "volumes": content["volumes"],
        }
        for template in content["templates"]
    }


def test_there_is_one_for_each_thing_that_people_start():
    assert set(pods()) == {"train", "submit", "promote", "deploy"}
    assert [template["name"] for template in spec(BUILD)["templates"]] == ["build"]


def test_our_pods_are_refused_nothing():
    for pod in pods().values():
        assert violations(pod) == []
        (container,) = pod["containers"]
        assert container["image"] == f"ghcr.io/bonafide/pipeline:{bonafide.__version__}"
        assert {mount["name"] for mount in container["volumeMounts"]} <= {
            volume["name"] for volume in pod["volumes"]
        }


@pytest.mark.parametrize("name", ["train", "submit", "promote", "deploy"])
def test_a_template_starts_a_command_with_its_parameters(name):
    (container,) = pods()[name]["containers"]
    assert container["command"] == ["bonafide"]
    given = {parameter["name"]: parameter["value"] for parameter in spec(MINE)["arguments"]["parameters"]}
    options = parsed_command(
        [PARAMETER.sub(lambda match: given[match[1]], word) for word in container["args"]]
    )
    assert (options["task"], options["environment"]) == (given["task"], given["environment"])


def test_they_are_set_up_as_the_judge_is():
    job = yaml.safe_load((ROOT / "infra/rollout/base/cronjob.yaml").read_text())["spec"]["jobTemplate"][
        "spec"
    ]
    (judge,) = job["template"]["spec"]["containers"]
    (container,) = pods()["deploy"]["containers"]
    for name in ("env", "envFrom", "volumeMounts", "securityContext", "image"):
        assert container[name] == judge[name]
    labels = job["template"]["metadata"]["labels"].items()
    assert spec(MINE)["podMetadata"]["labels"].items() <= labels, "else no policy lets them out"


@pytest.mark.parametrize("path", [MINE, BUILD], ids=lambda path: path.stem)
def test_every_parameter_that_is_used_is_declared(path):
    declared = {parameter["name"] for parameter in spec(path)["arguments"]["parameters"]}
    assert set(PARAMETER.findall(path.read_text())) == declared


@pytest.mark.parametrize("folder", ["infra/workflows", "infra/builds"])
def test_only_the_executor_has_a_token_and_may_only_report(folder, kustomize):
    items = {f"{item['kind']}/{item['metadata']['name']}": item for item in kustomize(folder)}
    (template,) = [item["spec"] for item in items.values() if item["kind"] == "WorkflowTemplate"]
    assert template["automountServiceAccountToken"] is False
    executor = template["executor"]["serviceAccountName"]
    (role,) = [item for item in items.values() if item["kind"] == "Role"]
    assert role["rules"] == [
        {"apiGroups": ["argoproj.io"], "resources": ["workflowtaskresults"], "verbs": ["create", "patch"]}
    ]
    (binding,) = [item for item in items.values() if item["kind"] == "RoleBinding"]
    assert [subject["name"] for subject in binding["subjects"]] == [executor]
    assert template["serviceAccountName"] != executor
    for name in (executor, template["serviceAccountName"]):
        assert items[f"ServiceAccount/{name}"]["automountServiceAccountToken"] is False
    assert f"Secret/{executor}.service-account-token" in items


def test_builds_lie_apart_and_have_no_privileges(kustomize):
    (namespace,) = [item for item in kustomize("infra/builds") if item["kind"] == "Namespace"]
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "baseline"
    (template,) = spec(BUILD)["templates"]
    pod = {"containers": [{"name": "build", **template["container"]}], **spec(BUILD)}
    (added,) = [item["securityContext"]["capabilities"]["add"] for item in pod["containers"]]
    assert violations(pod) == ["build: capabilities", "build: runAsNonRoot", "build: runAsUser"]
    assert not set(added) & {"SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE"}


def test_every_image_can_be_refreshed():
    (images,) = [
        parameter["enum"] for parameter in spec(BUILD)["arguments"]["parameters"] if "enum" in parameter
    ]
    assert sorted(images) == sorted(path.parent.name for path in ROOT.glob("images/*/Dockerfile"))


@pytest.mark.parametrize("folder", ["infra/workflows", "infra/builds"])
def test_the_built_in_kinds_hold_their_schemas(folder, kustomize):
    kubernetes_validate = pytest.importorskip(
        "kubernetes_validate", reason="kubernetes_validate is not installed"
    )
    for item in kustomize(folder):
        if item["kind"] != "WorkflowTemplate":
            kubernetes_validate.validate(item, kubernetes_validate.latest_version(), strict=True)

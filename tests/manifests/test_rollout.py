"""The judge and the smoke test in the cluster: what they may, what they reach, and that no pod needs more."""

import copy
import json
import re
import shlex
from pathlib import Path

import pytest
import yaml

import bonafide
from bonafide.delivery.checkout import checkout
from bonafide.delivery.manifests import PROMETHEUS
from bonafide.delivery.repository import Promotion, promote
from bonafide.home import is_remote
from tests.manifests.commands import parsed_command
from tests.manifests.security import violations

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = ("dev", "staging", "prod")
VERSION = Promotion("authenticity", "3", "s3://models/3", "r", "d", "d", "p", "0.1.0", "passed")


@pytest.fixture(params=ENVIRONMENTS)
def environment(request, kustomize) -> dict[str, dict]:
    """The objects of an environment's judge by kind and name."""
    items = kustomize(f"infra/rollout/{request.param}")
    return {f"{item['kind']}/{item['metadata']['name']}": item for item in items}


@pytest.fixture
def smoke(tmp_path, kustomize) -> dict:
    """The Job that Argo CD starts after a sync in staging."""
    with checkout(str(tmp_path / "delivery")) as delivery:
        promote(delivery, "staging", VERSION)
    built = kustomize(tmp_path / "delivery/environments/staging/authenticity")
    (job,) = [item for item in built if item["kind"] == "Job"]
    return job


def judge(environment: dict[str, dict]) -> dict:
    return environment["CronJob/rollout"]["spec"]["jobTemplate"]["spec"]["template"]


def only(template: dict) -> dict:
    (container,) = template["spec"]["containers"]
    return container


def test_two_looks_never_meet_and_none_is_made_up_for(environment):
    spec = environment["CronJob/rollout"]["spec"]
    assert spec["schedule"] == "* * * * *"
    assert spec["concurrencyPolicy"] == "Forbid"
    assert spec["startingDeadlineSeconds"] < 60
    job = spec["jobTemplate"]["spec"]
    assert job["backoffLimit"] == 0
    assert job["activeDeadlineSeconds"] > 60


def test_it_looks_at_its_own_environment_in_the_metrics_that_scale_predictors(environment):
    told = environment["ConfigMap/delivery"]["data"]
    assert (
        environment["CronJob/rollout"]["metadata"]["namespace"] == f"bonafide-{told['BONAFIDE_ENVIRONMENT']}"
    )
    assert told["PROMETHEUS"] == PROMETHEUS
    assert is_remote(told["BONAFIDE_DELIVERY"])
    given = re.sub(r"\$\((\w+)\)", lambda match: told[match[1]], " ".join(only(judge(environment))["args"]))
    options = parsed_command(given.split())
    assert options["environment"] == told["BONAFIDE_ENVIRONMENT"]
    assert (options["task"], options["prometheus"]) == (told["TASK"], PROMETHEUS)
    assert options["url"].format(predictor="v4") == "http://authenticity-v4-predictor", (
        "as KServe names Services"
    )
    assert str(options["images"]) in [
        mount["mountPath"] for mount in only(judge(environment))["volumeMounts"]
    ]
    assert only(judge(environment))["envFrom"] == [{"configMapRef": {"name": "delivery"}}]


def test_it_has_no_rights_in_the_cluster(environment):
    assert not [name for name in environment if name.startswith(("Role", "ClusterRole"))]
    assert environment["ServiceAccount/rollout"]["automountServiceAccountToken"] is False
    assert judge(environment)["spec"]["serviceAccountName"] == "rollout"
    assert judge(environment)["spec"]["automountServiceAccountToken"] is False


def test_the_judge_and_the_smoke_test_are_refused_nothing_and_change_no_image(environment, smoke):
    for template in (judge(environment), smoke["spec"]["template"]):
        assert violations(template["spec"]) == []
        assert only(template)["securityContext"]["readOnlyRootFilesystem"] is True
        assert only(template)["image"] == f"ghcr.io/bonafide/pipeline:{bonafide.__version__}"


def test_what_they_write_and_read_is_mounted(environment, smoke):
    for template in (judge(environment), smoke["spec"]["template"]):
        container = only(template)
        variables = {item["name"]: item["value"] for item in container["env"]}
        mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
        volumes = {volume["name"]: volume for volume in template["spec"]["volumes"]}
        for path in (variables["BONAFIDE_HOME"], variables["HOME"], "/tmp"):
            assert "emptyDir" in volumes[mounts[path]["name"]]
        command = shlex.split(variables["GIT_SSH_COMMAND"])
        key = Path(command[command.index("-i") + 1])
        (known,) = [Path(word.partition("=")[2]) for word in command if word.startswith("UserKnownHostsFile")]
        assert "StrictHostKeyChecking=yes" in command
        assert volumes[mounts[str(key.parent)]["name"]]["secret"] == {
            "secretName": "delivery-key",
            "defaultMode": 0o440,
        }
        assert volumes[mounts[str(known.parent)]["name"]]["configMap"]["name"] == "delivery-known-hosts"
        assert template["spec"]["securityContext"]["fsGroup"] == 10001, "else SSH cannot read the key"


def test_the_smoke_test_is_the_tasks_own_and_asks_its_host(smoke):
    assert smoke["metadata"]["name"] == "authenticity-smoke"
    assert smoke["metadata"]["annotations"]["argocd.argoproj.io/hook"] == "PostSync"
    (script,) = only(smoke["spec"]["template"])["args"]
    asked, back = re.findall(r"bonafide (.*?)(?: >/tmp/smoke| ;;)\n", script.replace("\\\n", " "))
    assert parsed_command(shlex.split(asked))["environment"] == "staging"
    assert parsed_command(shlex.split(back))["environment"] == "staging"
    variables = {item["name"]: item["value"] for item in only(smoke["spec"]["template"])["env"]}
    assert variables["TASK"] == "authenticity"
    (script,) = only(smoke["spec"]["template"])["args"]
    ingress = yaml.safe_load((ROOT / "infra/kserve/ingress.yaml").read_text())["data"]["ingress"]
    told = json.loads(ingress)
    host = told["domainTemplate"].replace("{{ .IngressDomain }}", told["ingressDomain"])
    assert host.replace("{{ .Name }}", "$TASK").replace("{{ .Namespace }}", "bonafide-staging") in script


def test_only_staging_is_tested_by_a_job_which_a_rollback_would_wait_for():
    for name in ENVIRONMENTS:
        content = yaml.safe_load((ROOT / f"kserve/overlays/{name}/kustomization.yaml").read_text())
        assert ("resources" in content) is (name == "staging")


def test_they_reach_what_they_ask_and_predictors_let_them_in(environment):
    leaving = environment["NetworkPolicy/deliveries"]["spec"]
    entering = environment["NetworkPolicy/predictors-are-judged"]["spec"]
    label = leaving["podSelector"]["matchLabels"].items()
    assert label <= judge(environment)["metadata"]["labels"].items()
    reached = {port["port"] for rule in leaving["egress"] for port in rule["ports"]}
    told = environment["ConfigMap/delivery"]["data"]
    for name in ("PROMETHEUS", "MLFLOW_TRACKING_URI"):
        assert int(told[name].rpartition(":")[2]) in reached
    assert reached == {9090, 5000, 80, 8080, 22, 443}
    (into,) = entering["ingress"]
    assert into["from"] == [{"podSelector": leaving["podSelector"]}]
    blocks = [peer["ipBlock"] for rule in leaving["egress"] for peer in rule["to"] if "ipBlock" in peer]
    assert all(block["except"] == ["169.254.0.0/16"] for block in blocks)


def test_the_internal_gateway_lets_the_smoke_test_in(smoke):
    items = yaml.safe_load_all((ROOT / "infra/gateways/gateways.yaml").read_text())
    (policy,) = [item for item in items if item["kind"] == "NetworkPolicy"]
    (asking,) = policy["spec"]["ingress"][0]["from"]
    (expression,) = asking["podSelector"]["matchExpressions"]
    assert smoke["spec"]["template"]["metadata"]["labels"][expression["key"]] in expression["values"]
    assert set(expression["values"]) == {"service-api", "smoke"}


def test_the_built_in_kinds_hold_their_schemas(environment, smoke):
    kubernetes_validate = pytest.importorskip(
        "kubernetes_validate", reason="kubernetes_validate is not installed"
    )
    for item in (*environment.values(), smoke):
        kubernetes_validate.validate(item, kubernetes_validate.latest_version(), strict=True)


def predictor() -> dict:
    """A predictor's pod as KServe makes it: the runtime, and the container that fetches the package first."""
    runtime = yaml.safe_load((ROOT / "kserve/runtime.yaml").read_text())["spec"]
    patch = yaml.safe_load((ROOT / "infra/kserve/storage-initializer.yaml").read_text())["spec"]["container"]
    fetching = {"name": "storage-initializer", **patch}
    return {
        "initContainers": [fetching],
        "containers": runtime["containers"],
        "volumes": runtime["volumes"],
    }


def test_predictors_and_what_fetches_their_packages_are_refused_nothing():
    assert violations(predictor()) == []
    (deployment,) = yaml.safe_load_all((ROOT / "infra/api/deployment.yaml").read_text())
    assert violations(deployment["spec"]["template"]["spec"]) == []


@pytest.mark.parametrize("kind", ["initContainers", "containers"])
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("allowPrivilegeEscalation", True),
        ("capabilities", {"drop": ["ALL"], "add": ["SYS_ADMIN"]}),
        ("privileged", True),
        ("runAsNonRoot", None),
        ("runAsUser", 0),
        ("seccompProfile", {"type": "Unconfined"}),
    ],
)
def test_the_check_sees_each_thing_that_is_refused(kind, field, value):
    pod = copy.deepcopy(predictor())
    pod[kind][0]["securityContext"][field] = value
    assert violations(pod) == [f"{pod[kind][0]['name']}: {field}"]


def test_the_check_sees_what_a_pod_takes_of_its_node():
    pod = predictor() | {"hostNetwork": True, "volumes": [{"name": "node", "hostPath": {"path": "/"}}]}
    assert violations(pod) == ["hostNetwork", "volume node"]

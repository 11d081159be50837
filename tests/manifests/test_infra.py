"""The namespaces are closed but for what runs in them, and what runs in them fits."""

import json
import re
from pathlib import Path

import pytest
import yaml
from kubernetes.utils import parse_quantity

from bonafide.delivery.manifests import inference_service, kustomization

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = ("dev", "staging", "prod")
LOGGER_PORT = 9081  # of KServe's agent
CANONICAL = re.compile(r"[1-9]\d*(m|Mi|Gi)?|0")


def runtime() -> dict:
    (container,) = yaml.safe_load((ROOT / "kserve/runtime.yaml").read_text())["spec"]["containers"]
    return container


@pytest.fixture(params=ENVIRONMENTS)
def environment(request, kustomize) -> dict[tuple[str, str], dict]:
    """The objects of an environment by kind and name."""
    items = kustomize(f"infra/namespaces/{request.param}")
    return {(item["kind"], item["metadata"]["name"]): item for item in items}


def namespace(environment: dict) -> dict:
    (only,) = [item for (kind, _), item in environment.items() if kind == "Namespace"]
    return only


def policies(environment: dict, direction: str) -> dict[str, dict]:
    found = {name: item["spec"] for (kind, name), item in environment.items() if kind == "NetworkPolicy"}
    return {name: spec for name, spec in found.items() if direction in spec["policyTypes"]}


def ports(rules: list[dict]) -> set[int]:
    return {port["port"] for rule in rules for port in rule["ports"]}


def test_the_namespaces_are_those_that_promotions_and_argo_cd_name(kustomize):
    items = kustomize("infra/namespaces")
    names = [item["metadata"]["name"] for item in items if item["kind"] == "Namespace"]
    assert sorted(names) == sorted(kustomization(f"bonafide-{name}")["namespace"] for name in ENVIRONMENTS)
    project = yaml.safe_load((ROOT / "argocd/project.yaml").read_text())
    assert sorted(names) == sorted(entry["namespace"] for entry in project["spec"]["destinations"])


def test_everything_of_an_environment_is_in_its_namespace(environment):
    name = namespace(environment)["metadata"]["name"]
    inside = [item for item in environment.values() if item["kind"] != "Namespace"]
    assert {item["metadata"]["namespace"] for item in inside} == {name}
    assert namespace(environment)["metadata"]["labels"]["bonafide.dev/environment"] in name


def test_pods_are_held_to_the_restricted_standard(environment):
    labels = namespace(environment)["metadata"]["labels"]
    for mode in ("enforce", "audit", "warn"):
        assert labels[f"pod-security.kubernetes.io/{mode}"] == "restricted"
        assert re.fullmatch(r"v1\.\d+", labels[f"pod-security.kubernetes.io/{mode}-version"])


def test_the_storage_initializer_meets_the_restricted_standard():
    patch = yaml.safe_load((ROOT / "infra/kserve/storage-initializer.yaml").read_text())
    context = patch["spec"]["container"]["securityContext"]
    for field in ("allowPrivilegeEscalation", "capabilities", "runAsNonRoot", "seccompProfile"):
        assert context[field] == runtime()["securityContext"][field]


def test_traffic_is_denied_by_default(environment):
    assert environment["NetworkPolicy", "default-deny"]["spec"] == {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
    }


def test_predictors_are_asked_through_the_internal_gateway_and_their_metrics_read(environment):
    ingress = policies(environment, "Ingress")
    assert set(ingress) == {"default-deny", "predictors-are-asked", "payloads-are-collected"}
    policy = ingress["predictors-are-asked"]
    assert policy["podSelector"]["matchExpressions"][0]["key"] == "serving.kserve.io/inferenceservice"
    asking, reading = policy["ingress"]
    (gateway,) = asking["from"]
    assert gateway["podSelector"]["matchLabels"] == {"gateway.networking.k8s.io/gateway-name": "internal"}
    assert gateway["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "bonafide-gateways"}
    assert ports([asking]) == {port["containerPort"] for port in runtime()["ports"]} | {LOGGER_PORT}
    assert ports([reading]) == {8080}


def test_the_payload_logger_reaches_a_collector(environment):
    collector = {"matchLabels": {"bonafide.dev/collects-payloads": "true"}}
    leaving = policies(environment, "Egress")["predictors-log-payloads"]
    entering = policies(environment, "Ingress")["payloads-are-collected"]
    (out,), (into,) = leaving["egress"], entering["ingress"]
    assert out["to"] == [{"podSelector": collector}]
    assert entering["podSelector"] == collector
    reading = {"namespaceSelector": {"matchLabels": {"bonafide.dev/reads-metrics": "true"}}}
    assert into["from"] == [{"podSelector": leaving["podSelector"]}, reading]
    assert ports([out]) == ports([into]) == {8080}


def test_every_pod_may_resolve_names_and_none_may_ask_for_the_nodes_credentials(environment):
    egress = policies(environment, "Egress")
    assert egress["dns"]["podSelector"] == {}
    assert ports(egress["dns"]["egress"]) == {53}
    peers = [peer for spec in egress.values() for rule in spec.get("egress", []) for peer in rule["to"]]
    blocks = [peer["ipBlock"] for peer in peers if "ipBlock" in peer]
    assert blocks
    assert all("169.254.0.0/16" in block["except"] for block in blocks)


def test_pipelines_may_do_nothing_but_what_a_step_needs(environment):
    rules = environment["Role", "pipelines"]["rules"]
    assert "*" not in json.dumps(rules)
    written = {(resource, *rule["verbs"]) for rule in rules for resource in rule["resources"]}
    assert {entry for entry in written if set(entry[1:]) != {"get"}} == {
        ("workflowtaskresults", "create", "patch")
    }
    for rule in rules:
        if {"secrets", "configmaps"} & set(rule["resources"]):
            assert rule["resourceNames"]
    subjects = environment["RoleBinding", "pipelines"]["subjects"]
    assert [(subject["kind"], subject["name"]) for subject in subjects] == [("ServiceAccount", "pipelines")]


def test_predictors_get_no_token(environment):
    assert environment["ServiceAccount", "default"]["automountServiceAccountToken"] is False


def test_a_task_at_full_scale_fits_beside_its_canary_a_training_run_the_judge_and_the_smoke_test(environment):
    hard = environment["ResourceQuota", "environment"]["spec"]["hard"]
    name = namespace(environment)["metadata"]["name"]
    predictor = inference_service("authenticity", "1", "s3://models/1", name)["spec"]["predictor"]
    judge = yaml.safe_load((ROOT / "infra/rollout/base/cronjob.yaml").read_text())["spec"]["jobTemplate"]
    smoke = yaml.safe_load((ROOT / "kserve/overlays/staging/smoke.yaml").read_text())
    training = heaviest_step()
    for resource in ("cpu", "memory"):
        # A rollout keeps the stable predictor's replicas, and gives the canary as many in the end.
        asked = 2 * predictor["maxReplicas"] * parse_quantity(runtime()["resources"]["requests"][resource])
        asked += parse_quantity(training[resource])
        asked += sum(requested(job, resource) for job in (judge, smoke))
        assert asked <= parse_quantity(hard[f"requests.{resource}"])


def requested(job: dict, resource: str):
    (container,) = job["spec"]["template"]["spec"]["containers"]
    return parse_quantity(container["resources"]["requests"][resource])


def heaviest_step() -> dict[str, str]:
    """What the step that requests most asks for."""
    pipeline = next(yaml.safe_load_all((ROOT / "pipelines/compiled/training.yaml").read_text()))
    executors = pipeline["deploymentSpec"]["executors"].values()
    resources = [step["container"]["resources"] for step in executors if "resources" in step["container"]]
    return {
        name: max((step[f"resource{name.title()}Request"] for step in resources), key=parse_quantity)
        for name in ("cpu", "memory")
    }


def test_quantities_are_canonical(environment):
    quota = environment["ResourceQuota", "environment"]["spec"]["hard"]
    (limit,) = environment["LimitRange", "default-requests"]["spec"]["limits"]
    for value in [*quota.values(), *limit["defaultRequest"].values()]:
        assert CANONICAL.fullmatch(value)
        number = int(re.match(r"\d+", value)[0])
        assert not (value.endswith("m") and number % 1000 == 0)
        assert not (value.endswith("Mi") and number % 1024 == 0)


def test_the_built_in_kinds_hold_their_schemas(environment):
    kubernetes_validate = pytest.importorskip(
        "kubernetes_validate", reason="kubernetes_validate is not installed"
    )
    for item in environment.values():
        kubernetes_validate.validate(item, kubernetes_validate.latest_version(), strict=True)

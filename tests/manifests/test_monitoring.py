"""What Prometheus scrapes, and by which names it tells predictors apart."""

import base64
import re
from pathlib import Path

import yaml

from bonafide.delivery.manifests import inference_service

ROOT = Path(__file__).parents[2]


def monitors() -> dict[str, dict]:
    items = yaml.safe_load_all((ROOT / "infra/monitoring/predictors.yaml").read_text())
    return {item["metadata"]["name"]: item["spec"] for item in items}


def test_predictors_are_found_and_told_apart_by_the_labels_that_are_delivered():
    (label,) = inference_service("pets", "12", "s3://models/12", "bonafide-dev")["spec"]["predictor"][
        "labels"
    ]
    monitor = monitors()["predictors"]
    assert monitor["selector"]["matchExpressions"] == [{"key": label, "operator": "Exists"}]
    endpoint, of_knative = monitor["podMetricsEndpoints"]
    assert of_knative == endpoint | {"port": "user-port"}, "as Knative names the port of a container"
    (runtime,) = yaml.safe_load((ROOT / "kserve/runtime.yaml").read_text())["spec"]["containers"]
    assert endpoint["port"] in {port["name"] for port in runtime["ports"]}
    relabelled = {rule["targetLabel"]: rule["sourceLabels"] for rule in endpoint["relabelings"]}
    sanitised = label.replace(".", "_").replace("/", "_")
    assert relabelled["predictor"] == [f"__meta_kubernetes_pod_label_{sanitised}"]
    assert set(relabelled) == {"predictor", "inferenceservice"}


def test_the_service_api_is_found():
    (deployment,) = yaml.safe_load_all((ROOT / "infra/api/deployment.yaml").read_text())
    monitor = monitors()["service-api"]
    pod = deployment["spec"]["template"]
    assert monitor["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    (container,) = pod["spec"]["containers"]
    assert monitor["podMetricsEndpoints"][0]["port"] in {port["name"] for port in container["ports"]}


def test_the_collector_is_found_and_let_in_where_the_how_to_puts_it():
    guide = (ROOT / "docs/how-to/feedback.md").read_text()
    (label,) = re.findall(r"`(bonafide\.dev/\S+): \"true\"`", guide)
    monitor = monitors()["collector"]
    assert monitor["selector"]["matchLabels"] == {label: "true"}
    assert f"named `{monitor['podMetricsEndpoints'][0]['port']}`" in guide
    policies = yaml.safe_load_all((ROOT / "infra/namespaces/base/network.yaml").read_text())
    (policy,) = (each["spec"] for each in policies if each["metadata"]["name"] == "payloads-are-collected")
    (port,) = (port["port"] for rule in policy["ingress"] for port in rule["ports"])
    assert policy["podSelector"] == monitor["selector"]
    assert f'bonafide collect --store "$BONAFIDE_STORE" --host 0.0.0.0 --port {port}\n' in guide
    assert f"svc.cluster.local:{port}/" in guide


def test_the_operator_finds_the_rules_and_alertmanagers_configuration_and_secrets(kustomize):
    items = {item["kind"]: item for item in kustomize("infra/monitoring/alerts")}
    assert set(items) == {"PrometheusRule", "Alertmanager", "ServiceMonitor", "Secret"}
    manager, secret = items["Alertmanager"], items["Secret"]
    assert secret["metadata"]["name"] == f"alertmanager-{manager['metadata']['name']}"
    configuration = base64.b64decode(secret["data"]["alertmanager.yaml"]).decode()
    files = re.findall(r"_file: (\S+)", configuration)
    assert len(files) == 3
    for place in files:
        assert place.startswith("/etc/alertmanager/secrets/")
        assert place.split("/")[4] in manager["spec"]["secrets"]

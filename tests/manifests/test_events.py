"""An alert starts a Workflow that submits the pipeline: the right alert, one Workflow, no further rights."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "infra" / "monitoring" / "alerts"


@pytest.fixture
def events(kustomize) -> dict[tuple[str, str], dict]:
    """The objects of the folder by kind and name."""
    return {(item["kind"], item["metadata"]["name"]): item for item in kustomize("infra/events")}


def message(**labels: str) -> dict:
    """What Alertmanager sends, as the Sensor sees it."""
    own = {"alertname": "LooksDrifted", "bonafide_action": "retrain", "task": "authenticity"}
    return {"body": {"status": "firing", "commonLabels": own | labels}}


def at(place: str, data: dict | list):
    """What a path of gjson or sjson names."""
    for key in place.split("."):
        data = data[int(key)] if isinstance(data, list) else data.get(key, {})
    return data


def lets_through(sensor: dict, data: dict) -> bool:
    """A value of the kind string is a regular expression, as Argo Events reads it."""
    (dependency,) = sensor["spec"]["dependencies"]
    return all(
        any(re.search(pattern, str(at(each["path"], data))) for pattern in each["value"])
        for each in dependency["filters"]["data"]
    )


def test_alertmanager_s_path_and_token_are_the_event_source_s(events):
    spec = events["EventSource", "alerts"]["spec"]
    (name,) = spec["webhook"]
    hook = spec["webhook"][name]
    page = (ROOT / "docs" / "how-to" / "alerts.md").read_text()
    assert f"http://alerts-eventsource-svc.bonafide-dev.svc:{hook['port']}{hook['endpoint']}" in page
    secret = hook["authSecret"]
    assert f"secret generic {secret['name']} --namespace bonafide-dev --from-file={secret['key']}=" in page
    assert spec["service"]["ports"] == [{"port": int(hook["port"]), "targetPort": int(hook["port"])}]
    (dependency,) = events["Sensor", "retrain"]["spec"]["dependencies"]
    assert (dependency["eventSourceName"], dependency["eventName"]) == ("alerts", name)


def test_only_a_firing_alert_that_asks_for_training_gets_through(events):
    sensor = events["Sensor", "retrain"]
    assert lets_through(sensor, message())
    resolved = message()
    resolved["body"]["status"] = "resolved"
    assert not lets_through(sensor, resolved)
    for labels in (
        {"bonafide_action": "no-retrain"},
        {"task": ""},
        {"task": "../other"},
        {"task": "a b"},
        {"task": "x" * 56},
    ):
        assert not lets_through(sensor, message(**labels))


def test_alertmanager_groups_by_task_what_asks_for_training():
    """Else a message of two tasks would have no common one, and start nothing."""
    routes = yaml.safe_load((ALERTS / "alertmanager.yml").read_text())["route"]["routes"]
    (route,) = [each for each in routes if each["receiver"] == "training"]
    assert "task" in route["group_by"]


def test_the_workflow_is_named_by_the_task_and_submits_it(events):
    (trigger,) = events["Sensor", "retrain"]["spec"]["triggers"]
    told = trigger["template"]["k8s"]
    workflow = told["source"]["resource"]
    for each in told["parameters"]:
        *path, last = each["dest"].split(".")
        place = at(".".join(path), workflow)
        task = at(each["src"]["dataKey"], message())
        place[last] = place[last] + task if each.get("operation") == "append" else task
    assert workflow["metadata"] == {"name": "retrain-authenticity"}
    template = yaml.safe_load((ROOT / "infra/workflows/bonafide.yaml").read_text())
    assert workflow["spec"]["workflowTemplateRef"] == {"name": template["metadata"]["name"]}
    assert workflow["spec"]["entrypoint"] in {each["name"] for each in template["spec"]["templates"]}
    given = {each["name"]: each["value"] for each in workflow["spec"]["arguments"]["parameters"]}
    assert given == {"task": "authenticity", "pipeline": "monitoring"}
    assert given.keys() <= {each["name"] for each in template["spec"]["arguments"]["parameters"]}
    assert len(f"retrain-{'x' * 55}") <= 63


def test_the_sensor_may_make_workflows_and_nothing_else(events):
    account = events["Sensor", "retrain"]["spec"]["template"]["serviceAccountName"]
    assert events["Role", account]["rules"] == [
        {"apiGroups": ["argoproj.io"], "resources": ["workflows"], "verbs": ["create"]}
    ]
    subjects = events["RoleBinding", account]["subjects"]
    assert [subject["name"] for subject in subjects] == [account]


def test_no_way_out_leads_to_the_nodes_credentials(events):
    policies = [item["spec"] for (kind, _), item in events.items() if kind == "NetworkPolicy"]
    peers = [peer for spec in policies for rule in spec.get("egress", []) for peer in rule["to"]]
    blocks = [peer["ipBlock"] for peer in peers if "ipBlock" in peer]
    assert blocks
    assert all("169.254.0.0/16" in block["except"] for block in blocks)


def test_the_built_in_kinds_hold_their_schemas(events):
    kubernetes_validate = pytest.importorskip(
        "kubernetes_validate", reason="kubernetes_validate is not installed"
    )
    for (kind, _), item in events.items():
        if kind not in ("EventBus", "EventSource", "Sensor"):
            kubernetes_validate.validate(item, kubernetes_validate.latest_version(), strict=True)

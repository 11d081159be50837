"""No rule, dashboard, scaler or judge names a metric or a label that nothing emits."""

import re
from pathlib import Path

import pytest
import yaml

import bonafide
from bonafide.delivery.manifests import inference_service
from bonafide.delivery.rollout.checks import COUNTERS
from bonafide.delivery.rollout.measure import LOADED
from bonafide.delivery.rollout.prometheus import TARGET as SCRAPED
from bonafide.telemetry import metrics
from tests.monitoring.promql import OTHERS, TARGET, complaints, declared, emitted, series

ROOT = Path(__file__).parents[2]


def rules() -> dict[str, str]:
    groups = yaml.safe_load((ROOT / "infra/monitoring/alerts/rules.yml").read_text())["groups"]
    return {rule["alert"]: rule["expr"] for group in groups for rule in group["rules"]}


def scaler() -> dict[str, str]:
    predictor = inference_service("pets", "12", "s3://models/12", "bonafide-dev")["spec"]["predictor"]
    return {
        f"scaler {number}": metric["external"]["metric"]["query"]
        for number, metric in enumerate(predictor["autoScaling"]["metrics"])
    }


def judge() -> dict[str, str]:
    """A counter as the judge of rollouts selects it, in its own and in others' labels."""
    told = {
        counter.metric: ",".join(f'{key}="{value}"' for key, value in counter.only) for counter in COUNTERS
    }
    grouped = {counter.metric: f"by (predictor, pod, {counter.label})" for counter in COUNTERS}
    queries = {f"judge {name}": f"sum {grouped[name]} ({name}{{{only}}})" for name, only in told.items()}
    return queries | {"judge loaded": f"group by (predictor, pod, version) ({LOADED})"}


QUERIES = {**rules(), **scaler(), **judge()}


@pytest.mark.parametrize("name", QUERIES)
def test_what_is_asked_for_is_emitted(name):
    assert complaints(QUERIES[name], emitted()) == []


@pytest.mark.parametrize("constant", sorted(declared()))
def test_a_metric_that_is_renamed_on_one_side_only_is_found(constant, monkeypatch):
    """Each that is asked for anywhere, in memory."""
    metric = declared()[constant]
    names = {name for name, _ in series(metric)}
    asked = [query for query in QUERIES.values() if names & set(re.findall(r"\w+", query))]
    monkeypatch.setattr(metric, "_name", f"{metric._name}_renamed")
    for query in asked:
        told = set(complaints(query, emitted()))
        assert told & {f"nothing emits {name}" for name in names}


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("bonafide_request_total", "nothing emits bonafide_request_total"),
        ("bonafide_requests", "nothing emits bonafide_requests"),
        ('bonafide_requests_total{result="ok"}', "bonafide_requests_total has no label result"),
        ('bonafide_requests_total{outcome=~"ok|fine"}', "bonafide_requests_total has no outcome ['fine']"),
        ("sum by (task) (bonafide_requests_total)", "bonafide_requests_total has no label ['task']"),
        (
            "bonafide_queue_images / on (model) bonafide_queue_limit_images",
            "bonafide_queue_images has no label ['model']",
        ),
    ],
)
def test_a_name_that_is_wrong_is_told(query, told):
    assert told in complaints(query, emitted())


def test_every_metric_that_is_declared_is_emitted():
    files = [path for path in Path(bonafide.__file__).parent.rglob("*.py") if path != Path(metrics.__file__)]
    code = "\n".join(path.read_text() for path in files)
    used = {name for name in declared() if re.search(rf"\bmetrics(\.| import .*\b){name}\b", code)}
    assert used == set(declared())


def test_there_are_twenty_metrics_and_more():
    assert len(declared()) >= 20


def test_no_name_of_others_is_ours():
    assert not [name for name in OTHERS if name.startswith("bonafide")]


def test_the_labels_of_targets_are_those_that_the_monitors_add_and_the_judge_knows():
    monitors = yaml.safe_load_all((ROOT / "infra/monitoring/predictors.yaml").read_text())
    added = {
        rule["targetLabel"]
        for monitor in monitors
        for endpoint in monitor["spec"]["podMetricsEndpoints"]
        for rule in endpoint.get("relabelings", ())
    }
    assert added <= TARGET == SCRAPED - {"__name__"}

"""Each dashboard asks for what there is: its questions are put to a real Prometheus that has samples."""

import json
import math
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from infra.monitoring import grafana
from infra.monitoring.look import look
from infra.monitoring.panels.parts import POSTGRES, PROMETHEUS
from infra.monitoring.sources import Prometheus
from tests.monitoring.promql import complaints, declared, emitted, series

FOLDER = Path(__file__).parents[2] / "infra" / "monitoring" / "dashboards"
FILES = sorted(FOLDER.glob("*.json"))
CHOSEN = {"namespace": ["bonafide-dev", "bonafide-prod"], "model": ["one"], "task": ["one"]}


def panels(path: Path) -> list[dict]:
    return json.loads(path.read_text())["panels"]


def targets(source: str) -> list[tuple[str, str]]:
    """Each question to a source, with a name."""
    return [
        (f"{path.stem}: {panel['title']}: {target['refId']}", target.get("expr") or target["rawSql"])
        for path in FILES
        for panel in panels(path)
        for target in panel["targets"]
        if panel["datasource"]["type"] == source
    ]


QUERIES = dict(targets("prometheus"))


def filled(query: str) -> str:
    """As Grafana asks it."""
    return grafana.promql(query, CHOSEN, "5m")


@pytest.mark.parametrize("name", QUERIES)
def test_a_panel_shows_something(prometheus, name):
    moment = {"query": filled(QUERIES[name]), "time": prometheus.until.timestamp()}
    answer = httpx.get(f"{prometheus.address}/api/v1/query", params=moment).raise_for_status().json()
    values = [float(each["value"][1]) for each in answer["data"]["result"]]
    assert values
    assert any(math.isfinite(value) for value in values)


def test_pages_of_our_own_show_every_panel(prometheus, tmp_path):
    span = (prometheus.until - timedelta(hours=1), prometheus.until)
    written = list(look(tmp_path, {PROMETHEUS: Prometheus(prometheus.address, *span)}, span))
    assert [path.stem for path in written] == ["drift", "infrastructure", "model", "service"]
    for path in written:
        page = path.read_text()
        assert "No data" not in page
        assert page.count("<section") == len(panels(FOLDER / f"{path.stem}.json"))


@pytest.mark.parametrize("name", QUERIES)
def test_a_panel_asks_for_what_is_emitted(name):
    assert complaints(filled(QUERIES[name]), emitted()) == []


def test_every_metric_of_ours_is_shown():
    asked = "\n".join(QUERIES.values())
    hidden = [
        constant
        for constant, metric in declared().items()
        if not any(re.search(rf"\b{name}\b", asked) for name, _ in series(metric))
    ]
    assert hidden == []


def test_there_is_a_dashboard_of_each_kind():
    assert {path.stem for path in FILES} == {"service", "model", "drift", "infrastructure", "feedback"}
    assert {name.split(":")[0] for name, _ in targets(POSTGRES)} == {"feedback"}


def test_what_a_reader_chooses_is_quoted():
    assert grafana.promql('up{pod=~"$pod"}', {"pod": ["a.b", "c"]}, "5m") == r'up{pod=~"a\\.b|c"}'
    noon = datetime(2026, 11, 28, 12, tzinfo=UTC)
    assert grafana.sql("a IN ($a) AND $__timeFilter(p.time)", {"a": ["x", "o'y"]}, noon, noon) == (
        "a IN ('x','o''y') AND p.time BETWEEN '2026-11-28T12:00:00Z' AND '2026-11-28T12:00:00Z'"
    )


@pytest.mark.parametrize("name", ["service", "model", "drift", "infrastructure"])
def test_nothing_is_there_that_the_schema_does_not_know(name):
    register_default_plugins()
    content = json.loads((FOLDER / f"{name}.json").read_text())
    again = JSONEncoder(sort_keys=True).encode(Dashboard.from_json(content))
    assert missing(content, json.loads(again)) == []


def missing(content, known, place="") -> list[str]:
    """What is in one and was lost in the other, which may hold more: empty objects, for example."""
    if isinstance(content, dict):
        lost = [f"{place}.{key}" for key in content.keys() - known.keys()]
        both = content.keys() & known.keys()
        return lost + [each for key in both for each in missing(content[key], known[key], f"{place}.{key}")]
    if isinstance(content, list) and len(content) == len(known):
        pairs = enumerate(zip(content, known, strict=True))
        return [each for number, pair in pairs for each in missing(*pair, f"{place}.{number}")]
    return [] if content == known else [place]


def test_what_the_schema_does_not_know_is_found():
    content = json.loads((FOLDER / "drift.json").read_text())
    content["panels"][0]["targets"][0]["expression"] = "up"
    again = JSONEncoder().encode(Dashboard.from_json(content))
    assert missing(content, json.loads(again)) == [".panels.0.targets.0.expression"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_dashboard_can_be_told_apart_and_its_panels_do_not_overlap(path):
    content = json.loads(path.read_text())
    assert content["uid"] == f"bonafide-{path.stem}"
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in content["panels"]]
    assert len(set(places)) == len(places)
    ids = [panel["id"] for panel in content["panels"]]
    assert len(set(ids)) == len(ids)


def test_the_cluster_gets_all_of_them():
    listed = re.findall(r"- (\w+\.json)", (FOLDER / "kustomization.yaml").read_text())
    assert sorted(listed) == [path.name for path in FILES]

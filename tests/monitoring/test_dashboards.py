"""Each dashboard asks for what there is: its questions are put to a real Prometheus that has samples."""

import itertools
import json
import math
import re
import shutil
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from bonafide.telemetry import metrics
from tests.monitoring.promql import OTHERS, complaints, declared, emitted, series

FOLDER = Path(__file__).parents[2] / "infra" / "monitoring" / "dashboards"
FILES = sorted(FOLDER.glob("*.json"))
POSTGRES = "grafana-postgresql-datasource"
VARIABLES = {"$namespace": ".*", "$model": ".*", "$task": ".*", "$__rate_interval": "5m"}
PATIENCE_SECONDS = 60
MINUTES = 120
# What labels may say, where it matters; others have one value.
VALUES = {
    "outcome": ("ok", "failed", "overloaded", "loaded", "started", "stored"),
    "stage": metrics.STAGES,
    "label": ("real", "ai-generated"),
    "kind": ("looks", "mix"),
    "resource": ("cpu", "memory"),
}
BOUNDS = ("0.1", "0.5", "1", "+Inf")


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
    """As Grafana asks it, with all chosen."""
    for variable, value in VARIABLES.items():
        query = query.replace(variable, value)
    return query


def lines(begin: int):
    """Samples of every metric that is declared, or known of others, once a minute."""
    known = {**OTHERS, **{name: labels for metric in declared().values() for name, labels in series(metric)}}
    for name, labels in known.items():
        choices = [
            [(label, value) for value in (BOUNDS if label == "le" else VALUES.get(label, ("one",)))]
            for label in sorted(labels)
        ]
        for number, chosen in enumerate(itertools.product(*choices), start=1):
            text = ",".join(f'{label}="{value}"' for label, value in chosen)
            for minute in range(MINUTES):
                value = number * minute if name.endswith(("_total", "_count", "_sum", "_bucket")) else number
                yield f"{name}{{{text}}} {value} {begin + 60 * minute}"


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory):
    """A question to one that has the samples."""
    if shutil.which("prometheus") is None:
        pytest.skip("prometheus is not installed")
    folder = tmp_path_factory.mktemp("prometheus")
    begin = int(time.time()) - 60 * (MINUTES + 60)
    (folder / "samples").write_text("\n".join([*lines(begin), "# EOF\n"]))
    made = subprocess.run(
        ["promtool", "tsdb", "create-blocks-from", "openmetrics", folder / "samples", folder / "data"],
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr
    (folder / "prometheus.yml").write_text("{}")
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = ["prometheus", f"--config.file={folder}/prometheus.yml", f"--web.listen-address={address}"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([*command, f"--storage.tsdb.path={folder}/data"], stderr=log)

    def ask(query: str) -> list[float]:
        moment = {"query": query, "time": begin + 60 * (MINUTES - 1)}
        answer = httpx.get(f"http://{address}/api/v1/query", params=moment).raise_for_status().json()
        return [float(each["value"][1]) for each in answer["data"]["result"]]

    try:
        patience = time.monotonic() + PATIENCE_SECONDS
        ready = False
        while not ready:
            assert time.monotonic() < patience
            time.sleep(0.1)
            with suppress(httpx.HTTPError):
                ready = httpx.get(f"http://{address}/-/ready").is_success
        yield ask
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)


@pytest.mark.parametrize("name", QUERIES)
def test_a_panel_shows_something(prometheus, name):
    values = prometheus(filled(QUERIES[name]))
    assert values
    assert any(math.isfinite(value) for value in values)


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

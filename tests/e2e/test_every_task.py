"""The whole story of each task that ships, and of each that the documentation adds, by the commands."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from bonafide.cli.main import app
from bonafide.data import dataset
from bonafide.delivery.current import in_service
from bonafide.delivery.demo import run as canary
from bonafide.delivery.demo.processes import announced, bonafide
from bonafide.drift.check import read_found
from bonafide.drift.environment import python
from bonafide.errors import ConfigError
from bonafide.home import delivery
from bonafide.serving.child import served
from bonafide.serving.client import predict_remote
from bonafide.serving.sent import sent_of
from bonafide.task import Task, load_task
from bonafide.traffic.endpoint import Server
from bonafide.traffic.pictures import Pictures
from bonafide.traffic.rows import Rows
from bonafide.traffic.simulate import Plan, simulate
from tests import story
from tests.docs.pages import blocks

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
SHIPPED = sorted(path.stem for path in (ROOT / "tasks").glob("*.yaml"))
ADDED = {title: content for language, title, content in blocks("add-a-task") if language == "yaml"}
ADDRESS = re.compile(r" at (http://[^\s,]+)")
WRITTEN = ("dataset", "validation", "splits", "model", "evaluation", "comparison", "gate", "package")
QUICK = """\
steps: [0, 50, 100]
bake_minutes: 0.05
warm_up_minutes: 0.02
deadline_minutes: 3
window_seconds: 2
minimum_requests: 30
replays: 400
margins: {errors_points: 0.1, slow_ratio: 100, slow_points: 0.5, label_points: 0.4, confidence_points: 0.4}
"""


def told(*words: object) -> str:
    result = CliRunner().invoke(app, list(map(str, words)))
    assert result.exit_code == 0, result.output + repr(result.exception)
    return result.stdout


@pytest.fixture
def detectors() -> None:
    try:
        python()
    except ConfigError as error:
        pytest.skip(f"drift environment: {error}")


@pytest.mark.parametrize("name", [*SHIPPED, *(Path(title).stem for title in ADDED)])
def test_from_data_to_drift(name, tmp_path, registry, detectors, monkeypatch):
    (tmp_path / "tasks").mkdir()
    for title, content in ADDED.items():
        (tmp_path / title).write_text(content)
    monkeypatch.chdir(tmp_path)
    task = load_task(name)
    data = story.make(task, tmp_path)
    package = trained(task, data.source, tmp_path / "made")
    told("promote", "1", "--task", name)
    assert in_service(delivery(), "dev", name).version == "1"
    answers_are_right(task, package, tmp_path / "made" / "splits")
    a_good_version_climbs(task, package, tmp_path / "canary", monkeypatch)
    drift_is_found_where_it_is(task, data, tmp_path)


def trained(task: Task, source: str, folder: Path) -> Path:
    """Every step by its command, to the signed package of a registered version."""
    of, small = ["--task", task.name], story.options(task)
    at = {
        name: folder / name
        for name in (
            "dataset",
            "validation",
            "splits",
            "model",
            "evaluation",
            "comparison",
            "gate",
            "package",
        )
    }
    given = ["--source", source] if source else []
    told("data", "ingest", at["dataset"], *given, *of, *small)
    told("data", "validate", at["dataset"], at["validation"], *of, *small)
    told("data", "split", at["dataset"], at["validation"], at["splits"], *of, *small)
    told("model", "train", at["splits"], at["model"], *of, *small)
    told("model", "evaluate", at["model"], at["splits"], at["evaluation"], *of, *small)
    told("model", "compare", at["model"], at["evaluation"], at["splits"], at["comparison"], *of, *small)
    told("model", "gate", at["evaluation"], at["comparison"], at["gate"], *of, *small)
    judged = (at["evaluation"], at["comparison"], at["gate"])
    told("model", "export", at["model"], at["splits"], *judged, at["package"], *of, *small)
    assert "version 1" in told("model", "register", at["package"], at["splits"], judged[0], judged[2])
    assert os.environ["BONAFIDE_HOME"] in str(delivery())
    return at["package"]


def answers_are_right(task: Task, package: Path, splits: Path) -> None:
    """The served model's answers about examples of each label are mostly those labels."""
    examples = dataset.examples(splits, "test", task.labels, 3)
    with served(package, "1") as server:
        answers = predict_remote(server.url, sent_of([each["content"] for each in examples]), None, False)
    right = [each["truth"] == name for each, name in zip(examples, answers.names, strict=True)]
    assert len(right) == 3 * len(task.labels)
    assert np.mean(right) >= 0.7


def a_good_version_climbs(task: Task, package: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(canary, "ROLLOUT", QUICK)
        patch.setattr(canary, "BASELINE_SECONDS", 8)
        patch.setattr(canary, "LOOK_SECONDS", 1.0)
        made = canary._packages
        patch.setattr(canary, "_packages", lambda *given: {"2": made(*given)["2"]})
        [climbed] = canary.demonstrate(task, package, folder, lambda _: None)
    assert climbed.decision.verdict == "finish", climbed.decision.why


def drift_is_found_where_it_is(task: Task, data: story.Data, folder: Path) -> None:
    """Inputs like those of training are no drift, changed ones are; asked and kept by the service API."""
    command = bonafide("api", "--task", task.name, "--port", "0", "--store", "local")
    with announced(command, folder / "api.log", ADDRESS) as url:
        assert asked(url, data.known) > 0
        assert drift(task, folder / "before") == (0, "none")
        assert asked(url, data.changed) > 0
    assert drift(task, folder / "after") == (1, "looks")


def asked(url: str, inputs: Path) -> int:
    found = Rows(str(inputs), {}) if inputs.is_file() else Pictures(str(inputs), {})
    outcome = simulate(Server(url, "service"), found, Plan(rate=60, seconds=4), lambda *_: None)
    assert not outcome.failures, outcome.reasons
    return outcome.requests


def drift(task: Task, out: Path) -> tuple[int, str]:
    words = ["drift", "check", "--task", task.name, "--window", "1h", "--out", str(out)]
    result = CliRunner().invoke(app, [*words, "--set", "drift.minimum=50"])
    return result.exit_code, read_found(out).judgement.kind

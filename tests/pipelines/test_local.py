"""The pipeline run for real by kfp's local runner, on a sample small enough for seconds."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SMALL = (
    "source.images=90 source.size=32 model.input_size=32 model.epochs=1 split.held_out_generators=[]"
    " evaluation.bootstrap_samples=100 evaluation.robustness_images=9"
)
LENIENT = (
    "split.test=0.4 gate.minimum_groups=5 gate.minimum_per_label=5"
    " gate.accuracy=0 gate.macro_f1=0 gate.non_inferiority_margin=1"
)


def demo(home: Path, settings: str) -> subprocess.CompletedProcess[str]:
    options = [word for setting in settings.split() for word in ("--set", setting)]
    return subprocess.run(
        [sys.executable, "-m", "bonafide", "demo", *options],
        env={**os.environ, "BONAFIDE_HOME": str(home), "COLUMNS": "160", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=500,
    )


def summary(home: Path) -> dict:
    return json.loads((home / "demo" / "summary.json").read_text())


@pytest.fixture(scope="module")
def promoted(tmp_path_factory) -> Path:
    home = tmp_path_factory.mktemp("home")
    result = demo(home, f"{SMALL} {LENIENT}")
    assert result.returncode == 0, result.stderr
    return home


@pytest.mark.e2e
def test_a_promoted_model_is_served_and_summed_up(promoted):
    told = summary(promoted)
    assert set(told) == {"dataset", "metrics", "gate", "model", "steps", "predictions"}
    assert sum(sum(counts.values()) for counts in told["dataset"]["counts"].values()) == 90
    assert told["gate"]["promote"] and told["model"]["version"] == "1"
    assert [step["name"] for step in told["steps"]][-2:] == ["promote", "report"]
    assert not any(step["cached"] for step in told["steps"])
    assert {answer["truth"] for answer in told["predictions"]} == {"real", "ai-generated", "deepfake"}
    for answer in told["predictions"]:
        assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert {path.name for path in (promoted / "demo" / "reports").iterdir()} == {
        "validation.html",
        "evaluation.html",
        "gate.html",
    }


@pytest.mark.e2e
def test_a_second_run_takes_from_the_cache_and_registers_nothing_new(promoted):
    result = demo(promoted, f"{SMALL} {LENIENT}")
    assert result.returncode == 0, result.stderr
    told = summary(promoted)
    cached = {step["name"] for step in told["steps"] if step["cached"]}
    # split asks where the champion's images were, and comes to the same bytes
    assert cached == {"ingest", "validate", "train", "evaluate"}
    assert told["model"]["version"] == "1"
    (against,) = [check for check in told["gate"]["checks"] if "champion" in check["name"]]
    assert against["measured"] == 0
    commits = subprocess.run(
        ["git", "-C", promoted / "delivery", "log", "--format=%s"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert commits == ["Promote authenticity version 1 in dev", "Start the delivery folder"]


@pytest.mark.e2e
def test_a_bad_model_is_refused_and_not_promoted(promoted):
    result = demo(promoted, f"{SMALL} model.shuffle_labels=true gate.accuracy=0.85 gate.macro_f1=0.8")
    assert result.returncode == 1, result.stderr
    told = summary(promoted)
    assert not told["gate"]["promote"] and told["model"] is None
    assert not {"export", "register", "promote"} & {step["name"] for step in told["steps"]}
    assert "FAIL" in result.stdout
    outcomes = (promoted / "outcomes.jsonl").read_text().splitlines()
    assert json.loads(outcomes[-1])["state"] == "SUCCEEDED"
    assert len(list((promoted / "delivery" / "environments" / "dev").iterdir())) == 1

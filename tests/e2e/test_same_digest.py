"""DVC, the pipeline and a pipeline that was killed half-way come to the same model, bit for bit."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import until

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
SETTINGS = {
    "images: 3600": "images: 600",
    "epochs: 12": "epochs: 3",
    "test: 0.25": "test: 0.4",
    "minimum_groups: 8": "minimum_groups: 5",
    "accuracy: 0.85": "accuracy: 0.0",
    "macro_f1: 0.80": "macro_f1: 0.0",
}


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """The committed and uncommitted files as a repository of their own, with a smaller task."""
    target = tmp_path_factory.mktemp("clone") / "bonafide"
    listed = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "-co", "--exclude-standard"],
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target / name)
    task = target / "tasks" / "authenticity.yaml"
    text = task.read_text()
    for before, after in SETTINGS.items():
        assert before in text
        text = text.replace(before, after)
    task.write_text(text)
    subprocess.run(["git", "init", "-q", target], check=True)
    return target


def command(*words: str, clone: Path, home: str) -> dict:
    environment = {
        **os.environ,
        "BONAFIDE_HOME": str(clone / home),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    return {"args": words, "cwd": clone, "env": environment}


def run(*words: str, clone: Path, home: str) -> str:
    done = subprocess.run(**command(*words, clone=clone, home=home), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def digest(model: Path) -> str:
    return hashlib.sha256(model.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def by_pipeline(clone) -> str:
    run("bonafide", "pipeline", "run", "training", clone=clone, home="home")
    (model,) = (clone / "home" / "mlartifacts").glob("*/artifacts/packages/*/model.onnx")
    return digest(model)


@pytest.fixture(scope="module")
def by_dvc(clone) -> Path:
    run("bonafide", "registry", "init", clone=clone, home="dvc-home")
    run("dvc", "repro", clone=clone, home="dvc-home")
    return clone / "artifacts"


def test_dvc_comes_to_the_same_model(by_dvc, by_pipeline):
    assert digest(by_dvc / "package" / "model.onnx") == by_pipeline


def test_dvc_compares_again_when_another_version_is_in_service(clone, by_dvc):
    champion = ("champion", "champion.json")
    assert json.loads(by_dvc.joinpath(*champion).read_text())["version"] == ""
    folders = [f"artifacts/{name}" for name in ("package", "splits", "evaluation", "gate")]
    run("bonafide", "model", "register", *folders, clone=clone, home="dvc-home")
    run("bonafide", "promote", "1", clone=clone, home="dvc-home")
    told = run("dvc", "repro", clone=clone, home="dvc-home")
    ran = set(re.findall(r"Running stage '(\w+)'", told))
    assert {"champion", "compare", "gate", "export"} <= ran
    assert not {"ingest", "validate", "train", "evaluate"} & ran
    assert json.loads(by_dvc.joinpath(*champion).read_text())["version"] == "1"
    assert json.loads((by_dvc / "comparison" / "comparison.json").read_text())["champion"] == "1"


def test_a_killed_run_goes_on_and_comes_to_the_same_model(clone, by_pipeline):
    words = ("bonafide", "pipeline", "run", "training")
    process = subprocess.Popen(
        **command(*words, clone=clone, home="killed"), start_new_session=True, stdout=subprocess.DEVNULL
    )
    saved = (clone / "killed" / "training").glob
    until(lambda: process.poll() is not None or list(saved("*/last.ckpt")), seconds=300)
    assert process.poll() is None
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not list((clone / "killed").glob("mlartifacts/*/artifacts/packages/*"))
    run(*words, clone=clone, home="killed")
    logs = sorted((clone / "killed" / "runs").glob("*/log.txt"))
    assert "Task ingest cache hit" in logs[-1].read_text()
    assert "resumed" in logs[-1].read_text()
    (model,) = (clone / "killed" / "mlartifacts").glob("*/artifacts/packages/*/model.onnx")
    assert digest(model) == by_pipeline

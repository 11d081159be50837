"""The batch pipeline as it is compiled, and run for real by kfp's local runner."""

import os
import shutil
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from bonafide.registry import packages, register, versions
from pipelines import batch, compilation


@pytest.fixture(scope="module")
def tasks() -> dict[str, dict]:
    compiled = next(iter(yaml.safe_load_all((compilation.COMPILED / "batch.yaml").read_text())))
    found = dict(compiled["root"]["dag"]["tasks"])
    for component in compiled["components"].values():
        found |= component.get("dag", {}).get("tasks", {})
    return found


def test_its_steps_are_those_that_its_docstring_numbers(tasks):
    numbered = [line.split()[1] for line in batch.__doc__.splitlines() if line[:1].isdigit()]
    assert numbered == ["fetch", "score"]
    assert {name for name in tasks if "exit-handler" not in name} == {"fetch", "score", "report"}


def test_nothing_is_cached_and_the_report_comes_also_after_a_failure(tasks):
    cached = {name for name, task in tasks.items() if task.get("cachingOptions", {}).get("enableCache")}
    assert not cached & {"fetch", "score", "report"}
    assert tasks["report"]["triggerPolicy"]["strategy"] == "ALL_UPSTREAM_TASKS_COMPLETED"


@pytest.fixture
def in_service(registry, made):
    shutil.copytree(made.keys, registry / "keys")
    version = register.register(
        made.package, made.dataset, made.evaluation, made.gate, made.keys / "signing.pub"
    )
    versions.crown(version)
    return registry


def run(home: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bonafide", "pipeline", "run", "batch", *map(str, arguments)],
        env={**os.environ, "BONAFIDE_HOME": str(home), "COLUMNS": "160", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.e2e
def test_a_folder_is_scored_by_the_version_in_service(in_service, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    for number in range(20):
        stream = BytesIO()
        pixels = np.random.default_rng(number).integers(0, 256, (48, 48, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(stream, "JPEG")
        (images / f"{number:02}.jpg").write_bytes(stream.getvalue())
    (images / "bad.png").write_bytes(b"no image")
    finished = run(in_service, "--input", images, "--output", tmp_path / "scores.csv")
    assert finished.returncode == 0, finished.stderr
    assert "scored: 20" in finished.stdout and "failed not an image: 1" in finished.stdout

    direct = [sys.executable, "-m", "bonafide", "batch", images, tmp_path / "direct.csv"]
    key = ["--package", packages.fetch(versions.champion("authenticity"))]
    subprocess.run(
        [*direct, *key], env={**os.environ, "BONAFIDE_HOME": str(in_service)}, check=True, timeout=100
    )
    assert (tmp_path / "scores.csv").read_bytes() == (tmp_path / "direct.csv").read_bytes()
    assert not list((in_service / "batch").iterdir())

    again = run(in_service, "--input", images, "--output", tmp_path / "scores.csv")
    assert again.returncode == 2
    assert "is there already" in again.stderr


def test_a_version_that_is_not_there_is_told(registry, tmp_path):
    missing = run(registry, "--input", tmp_path, "--output", tmp_path / "scores.csv", "--version", "7")
    assert missing.returncode == 2
    assert "fetch failed" in missing.stderr and "has no version '7'" in missing.stderr

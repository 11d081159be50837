"""The notebook runs from an installed wheel, on a tiny task, and what it brings home is registered there."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
from pathlib import Path

import nbformat
import pytest
import yaml
from nbclient import NotebookClient

from bonafide.model.package import verify
from bonafide.task import load_task
from tests.docs.pages import scripts
from tests.pipelines.test_local import LENIENT, SMALL

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "docs" / "notebooks" / "colab.ipynb"
TASK = "tasks/authenticity.yaml"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(out)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (built,) = out.iterdir()
    return built


@pytest.fixture(scope="module")
def runtime(tmp_path_factory) -> Path:
    """An environment with all packages of this one but Bonafide, and a kernel in it; gives its Python."""
    folder = tmp_path_factory.mktemp("runtime")
    packages = folder / "packages"
    packages.mkdir()
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if "bonafide" not in path.name:
            (packages / path.name).symlink_to(path)
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / "bin" / "python"
    purelib = "import sysconfig; print(sysconfig.get_path('purelib'))"
    found = subprocess.run([python, "-c", purelib], check=True, capture_output=True, text=True).stdout.strip()
    Path(found, "packages.pth").write_text(f"{packages}\n")
    kernel = folder / "kernels" / "runtime" / "kernel.json"
    kernel.parent.mkdir(parents=True)
    command = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    kernel.write_text(json.dumps({"argv": command, "display_name": "runtime", "language": "python"}))
    return python


@pytest.fixture(scope="module")
def ran(wheel, runtime, tmp_path_factory):
    """The notebook after its second run, and the folder that it ran in; the first was cut off after training.

    What outlived the first runtime is in the folder ``drive``.
    """
    folder = tmp_path_factory.mktemp("notebook")
    task = load_task("authenticity", [*SMALL.split(), *LENIENT.split()])
    (folder / "tasks").mkdir()
    (folder / TASK).write_text(yaml.safe_dump(task.model_dump(mode="json", exclude_none=True)))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    parameters = next(cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ()))
    given = {"bonafide": str(wheel), "task": TASK, "state": str(folder / "drive")}
    parameters.source += "".join(f"\n{name} = {value!r}" for name, value in given.items())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(runtime.parents[2]))
        patch.setenv("PATH", f"{runtime.parent}:{os.environ['PATH']}")
        patch.setenv("PYTHONNOUSERSITE", "1")
        for name in ("PYTHONPATH", "BONAFIDE_HOME"):
            patch.delenv(name, raising=False)
        trained = next(number for number, cell in enumerate(notebook.cells, 1) if cell.id == "train")
        execute(nbformat.from_dict({**notebook, "cells": notebook.cells[:trained]}), folder)
        shutil.rmtree(folder / "session")
        execute(notebook, folder)
    return notebook, folder


def execute(notebook, folder: Path) -> None:
    """In a runtime of its own."""
    where = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=300, kernel_name="runtime", resources=where).execute()


def printed(notebook, cell: str) -> str:
    (found,) = [each for each in notebook.cells if each.id == cell]
    return "".join(output.get("text", "") for output in found.outputs)


def test_it_ran_what_was_installed_from_the_wheel(ran, runtime):
    command = [runtime, "-c", "import bonafide; print(bonafide.__file__)"]
    where = subprocess.run(command, env={}, check=True, capture_output=True, text=True).stdout
    assert Path(where).is_relative_to(runtime.parents[1])


def test_after_a_cut_off_only_what_was_left_is_done(ran):
    notebook, _ = ran
    assert "images:" not in printed(notebook, "data")
    assert printed(notebook, "train") == ""
    assert "accuracy" in printed(notebook, "evaluate")


def test_it_shows_figures_and_report(ran):
    notebook, folder = ran
    (measured,) = (folder / "drive").glob("*/evaluation/metrics.json")
    assert measured.read_text() in printed(notebook, "evaluate")
    (report,) = [each for each in notebook.cells if each.id == "report"]
    assert "held-out images" in report.outputs[0]["data"]["text/html"]


def test_the_key_stays_in_the_session(ran):
    _, folder = ran
    keys = [path.relative_to(folder) for path in folder.rglob("*.pem")]
    assert keys == [Path("session", "signing.pem")]
    with tarfile.open(folder / "session" / "notebook.tar") as archive:
        assert "signing.pub" in archive.getnames()
        assert not [name for name in archive.getnames() if name.endswith(".pem")]


def test_at_home_the_package_is_registered_and_promoted_as_the_page_says(ran, tmp_path):
    notebook, folder = ran
    shutil.copytree(folder / "tasks", tmp_path / "tasks")
    shutil.copyfile(folder / "session" / "notebook.tar", tmp_path / "notebook.tar")
    environment = {
        name: value
        for name, value in os.environ.items()
        if name != "BONAFIDE_HOME"  # as the page has it: .bonafide
    }
    environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    told = []
    for script in scripts("colab"):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        told.append(done.stdout)
        if len(told) == 1:
            verify(tmp_path / "notebook" / "package", tmp_path / "notebook" / "signing.pub")
    unpacked, taken, judged = told
    assert unpacked.split()[0] in printed(notebook, "judge")
    assert "authenticity version 1 is delivered to dev" in taken
    assert "accuracy against version 1" in judged
    assert "authenticity version 2 is delivered to dev" in judged
    verify(tmp_path / "notebook" / "package", tmp_path / ".bonafide" / "keys" / "signing.pub")

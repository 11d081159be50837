"""The command line: quick to start, and every error that a user can cause is one sentence and exit code 2."""

import os
import re
import shutil
import signal
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from bonafide.cli.main import app
from docs.generate import commands

COMMANDS = dict(commands())
HEAVY = {"torch", "mlflow", "kfp", "sklearn", "pyarrow", "matplotlib", "onnxruntime", "kserve", "pandas"}


def bonafide(*arguments: str | Path, home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bonafide", *map(str, arguments)],
        env={**os.environ, "BONAFIDE_HOME": str(home), "COLUMNS": "200", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )


def refused(result: subprocess.CompletedProcess[str], *words: str) -> None:
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr + result.stdout
    for word in words:
        assert word in result.stderr


def jpeg(seed: int) -> bytes:
    stream = BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (48, 48, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(stream, "JPEG")
    return stream.getvalue()


@pytest.fixture
def pictures(tmp_path) -> Path:
    for number, label in enumerate(["real", "ai-generated", "deepfake"] * 2):
        folder = tmp_path / "pictures" / label
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.jpg").write_bytes(jpeg(number))
    return tmp_path / "pictures"


def test_help_imports_nothing_heavy(tmp_path):
    code = "import sys; from bonafide.cli import main; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not HEAVY & set(loaded.split())
    shown = bonafide("--help", home=tmp_path).stdout
    for command in ("demo", "data", "model", "pipeline", "predict", "serve"):
        assert command in shown


def test_an_unknown_key_names_the_nearest(tmp_path):
    refused(
        bonafide("pipeline", "run", "training", "--set", "model.epoch=3", home=tmp_path),
        "model.epoch",
        "did you mean 'model.epochs'",
    )


def test_an_unknown_task_lists_the_known(tmp_path):
    refused(bonafide("demo", "--task", "autenticity", home=tmp_path), "autenticity", "authenticity")


def test_an_unknown_pipeline_lists_the_known(tmp_path):
    refused(bonafide("pipeline", "run", "trainig", home=tmp_path), "trainig", "training")


def test_a_folder_that_is_not_there(tmp_path):
    refused(bonafide("demo", tmp_path / "nowhere", home=tmp_path), "nowhere")


def test_a_folder_without_images(tmp_path):
    (tmp_path / "empty" / "real").mkdir(parents=True)
    refused(
        bonafide("data", "ingest", tmp_path / "out", "--source", tmp_path / "empty", home=tmp_path), "empty"
    )
    assert not (tmp_path / "out").exists()


def test_one_class_only(tmp_path, pictures):
    for label in ("ai-generated", "deepfake"):
        for path in (pictures / label).iterdir():
            path.unlink()
        (pictures / label).rmdir()
    result = bonafide("data", "ingest", tmp_path / "out", "--source", pictures, home=tmp_path)
    refused(result, "'real'", "at least two classes")


def test_a_label_that_the_task_does_not_have(tmp_path, pictures):
    (pictures / "deepfake").rename(pictures / "painting")
    result = bonafide("data", "ingest", tmp_path / "out", "--source", pictures, home=tmp_path)
    refused(result, "painting", "--set")


def test_bad_files_are_quarantined_with_a_reason(tmp_path, pictures):
    bomb = BytesIO()
    Image.new("1", (10_000, 10_000)).save(bomb, "PNG")
    bad = {"bomb.png": bomb.getvalue(), "text.jpg": b"not an image", "cut.jpg": jpeg(9)[:700]}
    for name, content in bad.items():
        (pictures / "real" / name).write_bytes(content)
    (pictures / "real" / "notes.txt").write_text("no image")
    result = bonafide("data", "ingest", tmp_path / "out", "--source", pictures, home=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "6 images, 3 quarantined, 1 skipped" in result.stdout
    assert len(list((tmp_path / "out" / "quarantine").iterdir())) == 3


@pytest.mark.e2e
def test_a_step_that_fails_in_a_run_says_which_and_why(tmp_path, pictures):
    (pictures / "deepfake").rename(pictures / "painting")
    result = bonafide("pipeline", "run", "training", "--source", pictures, home=tmp_path)
    refused(result, "ingest failed", "painting", "log.txt")
    outcome = (tmp_path / "outcomes.jsonl").read_text()
    assert '"FAILED"' in outcome


@pytest.mark.e2e
def test_a_failed_audit_leaves_its_report(tmp_path, pictures):
    result = bonafide("demo", pictures, home=tmp_path)
    refused(result, "split failed", "minimum-per-label", "has 2 usable images", "validation.html")
    report = tmp_path / "demo" / "reports" / "validation.html"
    assert f"validation report  {report}" in result.stdout
    assert "images of the rarest label" in report.read_text()


def test_each_step_stops_after_a_failed_audit(tmp_path, pictures):
    dataset, validation = tmp_path / "dataset", tmp_path / "validation"
    assert bonafide("data", "ingest", dataset, "--source", pictures, home=tmp_path).returncode == 0
    result = bonafide("data", "validate", dataset, validation, home=tmp_path)
    refused(result, "minimum-per-label", f"{validation}/validation.html")
    assert (validation / "validation.html").is_file()
    refused(bonafide("data", "split", dataset, validation, tmp_path / "out", home=tmp_path), "not fit")


def test_what_is_no_step_s_output_is_refused(tmp_path):
    refused(bonafide("model", "evaluate", tmp_path, tmp_path, tmp_path / "out", home=tmp_path), "train")


def test_asking_before_anything_is_in_service(tmp_path, pictures):
    refused(bonafide("predict", pictures / "real", home=tmp_path), "make demo")


@pytest.mark.e2e
def test_no_registry_is_refused_until_one_is_started(made, tmp_path):
    home, out = tmp_path / "home", tmp_path / "comparison"
    compare = ("model", "compare", made.checkpoint, made.evaluation, made.dataset, out)
    for command in (compare, ("registry", "check"), ("model", "champion", tmp_path / "champion")):
        refused(bonafide(*command, home=home), "no registry at", "start an empty one: bonafide registry init")
    assert not out.exists()
    assert bonafide("registry", "init", home=home).returncode == 0
    assert "answers" in bonafide("registry", "check", home=home).stdout
    noted = bonafide("model", "champion", tmp_path / "champion", home=home)
    assert "no version is in service" in noted.stdout
    for option in ((), ("--champion", tmp_path / "champion")):
        compared = bonafide(*compare, *option, home=home)
        assert f"authenticity has no champion in sqlite:///{home}/mlflow.db" in compared.stdout


@pytest.mark.e2e
def test_register_says_how_to_promote_and_promote_says_what_is_in_service(made, registry, tmp_path):
    shutil.copytree(made.keys, registry / "keys")
    folders = (made.package, made.dataset, made.evaluation, made.gate)
    told = bonafide("model", "register", *folders, home=registry).stdout
    command = re.search(r"bonafide (promote .*)", told)[1]
    assert command == "promote 1 --task authenticity"
    promoted = bonafide(*command.split(), home=registry).stdout
    assert re.match(r"authenticity version 1 is delivered to dev: commit \w{12}$", promoted)


@pytest.mark.parametrize("file", ["evaluation.json", "comparison.json"])
def test_a_step_whose_input_is_missing_says_which_step_to_run(made, tmp_path, file):
    folders = {"evaluation.json": made.evaluation, "comparison.json": made.comparison}
    folders[file] = tmp_path / "nowhere"
    asked = bonafide("model", "gate", *folders.values(), tmp_path / "gate", home=tmp_path)
    refused(asked, f"holds no {file}", "step first")
    assert not (tmp_path / "gate").exists()


WAITS = """
import signal, sys, time
from bonafide.cli import main

signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell's background turns off

@main.app.command()
def wait():
    print("ready", flush=True)
    time.sleep(60)

sys.argv = ["bonafide", "wait"]
main.main()
"""


def test_who_stops_a_command_is_told_that_it_goes_on():
    process = subprocess.Popen(
        [sys.executable, "-c", WAITS], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert (process.returncode, told) == (130, "bonafide: stopped; run the same command again to go on\n")


@pytest.mark.parametrize("path", COMMANDS)
def test_help_shows_all_that_is_said(path):
    """Nothing is taken for markup, as `[default: ...]` would be."""
    command = COMMANDS[path]
    output = CliRunner().invoke(app, [*path.split()[1:], "--help"], env={"COLUMNS": "2000"}).output
    shown = " ".join(output.replace("`", "").split())
    for text in (*command.help.split("\n\n"), *(each.help for each in command.params)):
        assert " ".join(text.replace("`", "").split()) in shown

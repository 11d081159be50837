"""The commands for engines, as a person gives them, against the stand-in of Kubeflow Pipelines."""

import re
import threading
import time
from pathlib import Path

import pytest
import yaml

from bonafide.errors import BonafideError
from tests.cli.conftest import bonafide
from tests.pipelines.test_engines import ENGINES


@pytest.fixture(autouse=True)
def folder(kubeflow, tmp_path, monkeypatch):
    """A working folder with the engine's settings."""
    settings = yaml.safe_load((ENGINES / "kubeflow.example.yaml").read_text())
    (tmp_path / "engines").mkdir()
    (tmp_path / "engines" / "kubeflow.yaml").write_text(
        yaml.safe_dump(settings | {"host": kubeflow.url, "link": "https://people.example"})
    )
    monkeypatch.chdir(tmp_path)


def test_a_run_is_started_looked_at_and_cancelled(kubeflow):
    told = bonafide("pipeline", "run", "training", "--engine", "kubeflow", "--detach")
    run = re.search(r"run (\S+)", told)[1]
    assert f"https://people.example/#/runs/details/{run}" in told
    assert f"bonafide pipeline follow {run} --engine kubeflow" in told
    kubeflow.step(run, "champion", "SUCCEEDED")
    kubeflow.step(run, "ingest", "RUNNING")
    assert "running" in bonafide("pipeline", "status", run)
    assert run in bonafide("pipeline", "status")
    assert "is being cancelled" in bonafide("pipeline", "cancel", run)
    assert "cancelled" in bonafide("pipeline", "status", run)


def finish(kubeflow, state: str, *steps: tuple[str, ...]) -> None:
    """Let the run that comes go through its steps, from another thread."""

    def story() -> None:
        while not kubeflow.runs:
            time.sleep(0.01)
        (run,) = kubeflow.runs
        for step in steps:
            kubeflow.step(run, *step)
            time.sleep(0.1)
        kubeflow.end(run, state)

    threading.Thread(target=story, daemon=True).start()


def test_a_run_is_followed_to_its_end(kubeflow):
    finish(kubeflow, "SUCCEEDED", ("champion", "SUCCEEDED"), ("ingest", "SKIPPED"), ("train", "SUCCEEDED"))
    told = bonafide("pipeline", "run", "training", "--engine", "kubeflow")
    lines = [line.split()[1] for line in told.splitlines() if line.startswith("✓")]
    assert lines == ["champion", "ingest", "train"]
    assert "succeeded: https://people.example" in told


def test_a_run_that_fails_says_where_and_why(kubeflow):
    finish(kubeflow, "FAILED", ("champion", "FAILED", "delivery repository: BONAFIDE_DELIVERY is not set"))
    with pytest.raises(
        BonafideError, match=r"champion failed: delivery repository: .* is not set \(https://peo"
    ):
        bonafide("pipeline", "run", "training", "--engine", "kubeflow")


def test_a_schedule_is_made_listed_paused_and_removed(kubeflow):
    told = bonafide("pipeline", "schedule", "training", "--cron", "0 2 * * *", "--engine", "kubeflow")
    schedule = re.search(r"schedule (\S+):", told)[1]
    listed = bonafide("pipeline", "schedule", "list")
    assert listed.split() == [schedule, "0", "2", "*", "*", "*", "on", "training", "authenticity"]
    with pytest.raises(BonafideError, match=f"has a schedule, at 0 2 .*remove it first: .* {schedule}"):
        bonafide("pipeline", "schedule", "training", "--cron", "0 3 * * *")
    bonafide("pipeline", "schedule", "pause", schedule)
    assert "paused" in bonafide("pipeline", "schedule", "list")
    bonafide("pipeline", "schedule", "resume", schedule)
    bonafide("pipeline", "schedule", "remove", schedule)
    assert schedule not in bonafide("pipeline", "schedule", "list")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("schedule", "training", "--cron", "0 0 2 * * *"), "give five fields"),
        (("run", "training", "--engine", "kubeflow", "--source", "photos"), "on this machine"),
        (("run", "training", "--engine", "airflow"), "engines/airflow.yaml: No such file"),
        (("status", "nothing"), "run nothing not found"),
    ],
)
def test_what_cannot_be_is_a_sentence(kubeflow, words, said):
    with pytest.raises(BonafideError, match=re.escape(said)):
        bonafide("pipeline", *words)


def test_images_in_a_bucket_are_scored_into_a_bucket(kubeflow):
    places = ("--input", "s3://photographs/in", "--output", "gs://answers/scores.parquet")
    bonafide("pipeline", "run", "batch", "--engine", "kubeflow", "--detach", *places)
    (run,) = kubeflow.runs.values()
    assert run["runtime_config"]["parameters"] == {
        "task": "authenticity",
        "format": "parquet",
        "version": "",
        "images": "s3://photographs/in",
        "output": "gs://answers/scores.parquet",
        "overwrite": False,
    }


@pytest.mark.parametrize(
    ("images", "output", "said"),
    [
        ("photographs", "gs://answers/scores.csv", "--input: photographs is on this machine"),
        ("gs://photographs", "scores.csv", "scores.csv is on this machine, where an engine cannot write"),
        ("gs://photographs", "gs://answers/scores.txt", "ends with .csv or .parquet"),
    ],
)
def test_an_engine_neither_reads_nor_writes_this_machine_s_files(kubeflow, images, output, said):
    with pytest.raises(BonafideError, match=re.escape(said)):
        bonafide("pipeline", "run", "batch", "--engine", "kubeflow", "--input", images, "--output", output)
    assert not kubeflow.runs


def test_the_doctor_says_where_the_steps_have_other_places(kubeflow, tmp_path, monkeypatch):
    monkeypatch.setenv("BONAFIDE_PUBLIC_KEY", "/etc/bonafide/verifying/signing.pub")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://anna:hush@127.0.0.1:9")
    path = Path("engines/kubeflow.yaml")
    settings = yaml.safe_load(path.read_text())
    settings["every_step"]["environment"].pop("BONAFIDE_DELIVERY")
    settings["every_step"]["environment"]["BONAFIDE_PACKAGES"] = "oci://registry.example.org/models"
    settings["every_step"]["config"] = {"BONAFIDE_DELIVERY": {"name": "places", "key": "delivery"}}
    settings["every_step"].setdefault("secrets", {})["BONAFIDE_STORE"] = {"name": "store", "key": "url"}
    monkeypatch.setenv("BONAFIDE_STORE", f"sqlite:///{tmp_path}/store.db")
    path.write_text(yaml.safe_dump(settings))
    told = bonafide("doctor", "--engine", "kubeflow", code=1)
    lines = [" ".join(line.split()) for line in told.splitlines()]
    after = {line: lines[number + 1] for number, line in enumerate(lines) if line.startswith("✓")}
    assert after["✓ MLFLOW_TRACKING_URI http://mlflow.mlflow.svc:5000"] == (
        "in the steps; on this machine http://127.0.0.1:9"
    )
    assert after["✓ BONAFIDE_DELIVERY config: places"] == (
        "in the steps, its value is not known here; on this machine not set"
    )
    assert after["✓ BONAFIDE_PACKAGES oci://registry.example.org/models"] == (
        "in the steps; on this machine not set"
    )
    assert after["✓ BONAFIDE_PUBLIC_KEY /etc/bonafide/verifying/signing.pub"] == (
        "in the steps; the same on this machine"
    )
    assert after["✓ BONAFIDE_STORE secrets: store"].endswith(f"on this machine sqlite:///{tmp_path}/store.db")
    assert f"✓ store sqlite:///{tmp_path}/store.db" in lines
    assert "hush" not in told


def test_the_doctor_asks_the_engine_too(kubeflow):
    assert "answers, no run yet" in bonafide("doctor", "--engine", "kubeflow")
    kubeflow.failing = 1
    assert "503 the database is away" in bonafide("doctor", "--engine", "kubeflow", code=1)

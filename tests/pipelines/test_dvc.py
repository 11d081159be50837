"""What DVC must never take from its cache."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.docs.pages import blocks

ROOT = Path(__file__).parents[2]
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


def test_who_is_in_service_and_how_long_an_answer_takes_are_asked_anew():
    """The registry changes without DVC, and one busy moment must not refuse a model for ever."""
    assert {name for name, stage in STAGES.items() if stage.get("always_changed")} == {"champion", "compare"}


def test_every_stage_that_reads_code_follows_all_of_it():
    assert all("src/bonafide" in stage["deps"] for name, stage in STAGES.items() if name != "champion")


def dvc(*words, folder):
    done = subprocess.run([sys.executable, "-m", "dvc", *words], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_changed_pictures_are_ingested_again_if_the_stage_names_them(tmp_path):
    """As the how-to says; its command is replaced by one that copies."""
    pytest.importorskip("dvc")
    [told] = [content for _, title, content in blocks("dvc") if title == "dvc.yaml"]
    named = yaml.safe_load(told)["ingest"]
    assert named["cmd"] == STAGES["ingest"]["cmd"]
    assert set(named["deps"]) > set(STAGES["ingest"]["deps"])
    copying = {"cmd": "rm -rf artifacts; cp -r pictures artifacts", "outs": ["artifacts"]}
    (tmp_path / "dvc.yaml").write_text(
        yaml.safe_dump({"stages": {"ingest": STAGES["ingest"] | named | copying}})
    )
    shutil.copytree(ROOT / "tasks", tmp_path / "tasks")
    (tmp_path / "src" / "bonafide").mkdir(parents=True)
    picture = tmp_path / "pictures" / "real" / "a.jpg"
    picture.parent.mkdir(parents=True)
    dvc("init", "--no-scm", folder=tmp_path)
    for content in ("a", "another"):
        picture.write_text(content)
        dvc("repro", folder=tmp_path)
        assert (tmp_path / "artifacts" / "real" / "a.jpg").read_text() == content

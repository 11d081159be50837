"""The how-to about rows of one's own, followed."""

import json
import shlex

import numpy as np
import pytest
from typer.testing import CliRunner

from bonafide.cli.main import app
from bonafide.errors import DataError
from tests.docs.pages import blocks, scripts

STEPS, *_ = scripts("own-rows")
[TASK, *_] = [(title, content) for language, title, content in blocks("own-rows") if language == "yaml"]


def follow(folder, monkeypatch, heights):
    """The page's task and its steps, with a file of 300 flowers."""
    monkeypatch.chdir(folder)
    title, content = TASK
    (folder / title).parent.mkdir()
    (folder / title).write_text(content)
    lines = [f"{height:.4f},{3 + n % 9},{('rose', 'tulip')[n % 2]}" for n, height in enumerate(heights)]
    (folder / "flowers.csv").write_text("\n".join(["Height in cm,petals,species", *lines, "250,5,rose"]))
    for line in STEPS.splitlines():
        done = CliRunner().invoke(app, shlex.split(line)[1:])
        if done.exception:
            raise done.exception


def test_the_page_s_task_becomes_a_split_dataset(tmp_path, monkeypatch):
    random = np.random.default_rng(1)
    follow(tmp_path, monkeypatch, [random.normal(40 + 10 * (n % 2), 8) for n in range(300)])
    info = json.loads((tmp_path / "out" / "splits" / "dataset.json").read_text())
    assert sum(sum(counts.values()) for counts in info["counts"].values()) == 300
    [refused] = info["quarantined"]
    assert refused["message"] == "height must be 200 or less, got 250"
    assert "flowers.csv#300" in (tmp_path / "out" / "dataset" / "quarantine" / "rows.csv").read_text()


def test_a_column_that_tells_all_is_named(tmp_path, monkeypatch):
    with pytest.raises(DataError, match="the column 'height' alone tells 'rose'"):
        follow(tmp_path, monkeypatch, [20 + 100 * (n % 2) + n / 10 for n in range(300)])
    assert (tmp_path / "out" / "validation" / "validation.html").is_file()

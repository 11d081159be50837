"""From kfp's log to steps."""

import io
import json

import pytest

from pipelines.runners.steps import Step, StepLog, output_path

LINES = """\
04:26:24.660 - INFO - Executing task \x1b[96m'ingest'\x1b[0m
    progress: Building the sample 3/6 (trained the nearest decoder)
04:27:27.494 - INFO - Task \x1b[96m'ingest'\x1b[0m finished with status \x1b[92mSUCCESS\x1b[0m
Task split cache hit (key=ecfcd471c6d4); skipping execution.
04:27:29.979 - INFO - Executing task \x1b[96m'train'\x1b[0m
    bonafide.errors.DataError: there is nothing to train on; add images
04:27:45.916 - INFO - Task \x1b[96m'train'\x1b[0m finished with status \x1b[91mFAILURE\x1b[0m
"""


def read(text: str, size: int) -> tuple[StepLog, list[tuple[str, str, str]], io.StringIO]:
    seen: list[tuple[str, str, str]] = []
    file = io.StringIO()
    log = StepLog(file, lambda step: seen.append((step.name, step.state, step.detail)))
    for start in range(0, len(text), size):
        log.write(text[start : start + size])
    return log, seen, file


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_lines_become_steps_however_they_are_cut(size):
    log, seen, file = read(LINES, size)
    assert [(step.name, step.state, bool(step.cache_key)) for step in log.steps] == [
        ("ingest", "SUCCESS", False),
        ("split", "SUCCESS", True),
        ("train", "FAILURE", False),
    ]
    assert ("ingest", "RUNNING", "Building the sample 3/6 trained the nearest decoder") in seen
    assert log.error == "there is nothing to train on; add images"
    assert file.getvalue() == LINES


def test_a_retried_task_is_one_step():
    retried = LINES.replace("FAILURE", "SUCCESS") + LINES[LINES.index("04:27:29") :]
    log, _, _ = read(retried, 100)
    assert [step.name for step in log.steps] == ["ingest", "split", "train"]
    assert log.steps[-1].state == "FAILURE"


def test_a_cached_output_is_where_the_cached_run_left_it(tmp_path):
    entry = {"splits": {"uri": str(tmp_path / "earlier" / "splits")}}
    (tmp_path / "abc123.json").write_text(json.dumps(entry))
    step = Step("split", cache_key="abc1")
    assert output_path(step, tmp_path / "run", tmp_path, "splits") == tmp_path / "earlier" / "splits"


def test_a_fresh_output_is_in_the_run_s_folder(tmp_path):
    made = tmp_path / "run" / "training-2026" / "split" / "splits"
    made.mkdir(parents=True)
    assert output_path(Step("split"), tmp_path / "run", tmp_path, "splits") == made

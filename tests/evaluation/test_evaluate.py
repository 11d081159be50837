import json
import shutil
import subprocess
import sys
import tracemalloc

import numpy as np
import pyarrow as pa
import pytest

from bonafide.data import dataset as datasets
from bonafide.errors import DataError, PackageError
from bonafide.evaluation.evaluate import (
    EVALUATION_REPORT,
    HEADLINE,
    MEASURED,
    PREDICTIONS,
    _predictions,
    evaluate,
    read_measured,
    read_predictions,
)
from bonafide.files import sha256
from bonafide.model.answers import answer
from bonafide.model.checkpoint import read_info
from bonafide.model.info import MODEL
from bonafide.model.runtime import OnnxModel
from tests.conftest import SEED, UNSEEN


def test_the_files_and_what_was_measured(made):
    assert sorted(path.name for path in made.evaluation.iterdir()) == sorted(
        [MEASURED, HEADLINE, PREDICTIONS, EVALUATION_REPORT]
    )
    assert (made.evaluation / EVALUATION_REPORT).read_text().lower().startswith("<!doctype html>")
    measured = read_measured(made.evaluation)
    assert json.loads((made.evaluation / MEASURED).read_text()) == measured.model_dump(mode="json")
    assert json.loads((made.evaluation / HEADLINE).read_text()) == measured.headline()
    assert measured.model_digest == sha256(made.checkpoint / MODEL)
    assert measured.data_digest == datasets.read_info(made.dataset).digest
    assert len(measured.robustness) >= 7
    assert {degraded.n for degraded in measured.robustness} == {6}


def test_predictions_are_the_answers_for_the_test_rows(made):
    predictions = read_predictions(made.evaluation)
    rows = datasets.read(made.dataset, "test", ["label"])["label"].to_numpy()
    model = OnnxModel(made.checkpoint, read_info(made.checkpoint), threads=1)
    answers = answer(model, made.dataset, "test", ("probabilities",))
    assert np.array_equal(predictions.truth, rows)
    assert predictions.probabilities.dtype == np.float32
    assert np.array_equal(predictions.probabilities, answers["probabilities"])


def test_groups_are_those_of_the_rows(made):
    names = datasets.read(made.dataset, "test", ["group"])["group"].to_pylist()
    groups = read_predictions(made.evaluation).groups
    assert len(set(groups.tolist())) == len(set(names)) == len(set(zip(groups.tolist(), names, strict=True)))


def test_no_torch_is_needed(made, tmp_path):
    """What is evaluated is the graph, so evaluating loads neither torch nor the weights."""
    folder = shutil.copytree(made.checkpoint, tmp_path / "checkpoint")
    (folder / "weights.safetensors").unlink()
    script = f"""
import sys
import tracemalloc
from pathlib import Path
from bonafide.evaluation.evaluate import evaluate
from bonafide.task import Evaluation
evaluate(Path({str(folder)!r}), Path({str(made.dataset)!r}), Path({str(tmp_path / "out")!r}), Evaluation(), 1)
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_metrics_are_of_those_predictions(made):
    predictions, metrics = read_predictions(made.evaluation), read_measured(made.evaluation).metrics
    right = predictions.probabilities.argmax(axis=1) == predictions.truth
    assert metrics.accuracy.value == pytest.approx(right.mean())
    assert metrics.accuracy.low <= right.mean() <= metrics.accuracy.high
    assert sum(map(sum, metrics.confusion)) == len(right)
    headline = read_measured(made.evaluation).headline()
    assert headline["accuracy"] == metrics.accuracy.value
    assert headline["ece"] == metrics.ece.value


def test_generators_that_training_never_saw_are_named(made):
    assert read_measured(made.evaluation).unseen == (UNSEEN,)
    assert UNSEEN in (made.evaluation / EVALUATION_REPORT).read_text()
    seen = datasets.read(made.dataset, "train", ["generator"])["generator"].to_pylist()
    assert UNSEEN not in seen


def test_another_tasks_data_is_refused(made, tmp_path):
    folder = shutil.copytree(made.dataset, tmp_path / "dataset")
    info = json.loads((folder / "dataset.json").read_text())
    info["labels"] = ["cat", "dog", "bird"]
    (folder / "dataset.json").write_text(json.dumps(info))
    with pytest.raises(DataError, match=r"other labels than the detector.*train again"):
        evaluate(made.checkpoint, folder, tmp_path / "out", made.task.evaluation, SEED)
    assert not (tmp_path / "out").exists()


def test_what_is_missing_is_said(made, tmp_path):
    with pytest.raises(PackageError, match="no trained detector"):
        evaluate(tmp_path, made.dataset, tmp_path / "out", made.task.evaluation, SEED)
    folder = shutil.copytree(made.dataset, tmp_path / "dataset")
    shutil.rmtree(folder / "test")
    with pytest.raises(DataError, match="no split 'test'"):
        evaluate(made.checkpoint, folder, tmp_path / "out", made.task.evaluation, SEED)


def test_a_long_group_name_costs_only_itself(made):
    """Fixed-width names would take its length for every row."""
    names = ["g" * 1_000_000, *(f"g{row}" for row in range(999))]
    rows = pa.table({"label": np.zeros(1000, np.int64), "group": names})
    tracemalloc.start()
    found = _predictions(rows, np.zeros((1000, 2), np.float32)).groups
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(set(found.tolist())) == 1000
    assert peak < 50e6

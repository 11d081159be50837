import dataclasses
import json
import shutil
import subprocess
import sys

import numpy as np
import onnxruntime
import pytest
from scipy.special import log_softmax

from bonafide.data import dataset as datasets
from bonafide.errors import DataError, PackageError
from bonafide.model import estimators
from bonafide.model.calibration import SPREAD
from bonafide.model.checkpoint import INFO, load, read_info
from bonafide.model.classifier import fitted, to_onnx
from bonafide.model.estimators import train
from bonafide.model.info import MODEL
from bonafide.model.parity import difference
from bonafide.model.runtime import OnnxModel
from bonafide.registry import tracking
from bonafide.task import ESTIMATORS, Estimator
from tests.flowers import FEATURES, LABELS, SEED


def estimator(architecture: str = "logistic_regression", **values) -> Estimator:
    return Estimator(**{"architecture": architecture, "n_estimators": 20} | values)


def truth_of(dataset, split):
    return datasets.read(dataset, split, ["label"])["label"].to_numpy()


def accuracy(checkpoint, dataset, split="test"):
    model = OnnxModel(checkpoint, read_info(checkpoint), threads=1)
    answered = model.run(datasets.rows(dataset, split))["probabilities"].argmax(axis=1)
    return float((answered == truth_of(dataset, split)).mean())


@pytest.fixture(params=ESTIMATORS)
def trained(request, flowers, tmp_path):
    train(flowers.dataset, tmp_path / "checkpoint", estimator(request.param), SEED)
    return tmp_path / "checkpoint"


def test_it_learns(trained, flowers):
    info = read_info(trained)
    assert accuracy(trained, flowers.dataset) > 0.85
    assert info.validation_accuracy == accuracy(trained, flowers.dataset, "val") > 0.85


def test_a_checkpoint_is_a_graph_and_its_record(trained, flowers):
    assert sorted(path.name for path in trained.iterdir()) == [MODEL, INFO]
    info = read_info(trained)
    assert json.loads((trained / INFO).read_text()) == info.model_dump(mode="json")
    assert (info.labels, info.input.features, info.embedding_size) == (LABELS, FEATURES, len(FEATURES))
    assert (info.heatmap_size, info.best_epoch, info.history) == (None, None, ())
    assert info.data_digest == datasets.read_info(flowers.dataset).digest
    with pytest.raises(PackageError, match=f"holds no network but a {info.architecture}"):
        load(trained)


def test_a_seed_gives_the_same_graph(trained, flowers, tmp_path):
    info = read_info(trained)
    assert train(flowers.dataset, tmp_path / "again", info.model, SEED) == info


def test_another_seed_gives_another_forest(flowers, tmp_path):
    digests = {
        train(flowers.dataset, tmp_path / str(seed), estimator("random_forest"), seed).model_digest
        for seed in (1, 2)
    }
    assert len(digests) == 2


def test_the_embedding_is_the_standardised_columns(trained, flowers):
    model = OnnxModel(trained, read_info(trained), threads=1)
    rows = datasets.rows(flowers.dataset, "train")
    embedding = model.run(rows, ("embedding",))["embedding"]
    assert embedding == pytest.approx((rows - rows.mean(axis=0)) / rows.std(axis=0), abs=1e-4)


def test_the_temperature_lowers_the_loss_on_validation(trained, flowers):
    info, truth = read_info(trained), truth_of(flowers.dataset, "val")
    model = OnnxModel(trained, info, threads=1)
    logits = np.log(model.run(datasets.rows(flowers.dataset, "val"))["probabilities"])

    def loss(temperature: float) -> float:
        scores = log_softmax(logits * info.temperature / temperature, axis=1)
        return -scores[np.arange(len(truth)), truth].sum() + (np.log(temperature) / SPREAD) ** 2 / 2

    assert info.temperature != 1
    assert loss(info.temperature) < min(loss(1), loss(0.9 * info.temperature), loss(1.1 * info.temperature))


def test_certain_answers_are_right_as_often_as_wanted(trained, flowers):
    info, truth = read_info(trained), truth_of(flowers.dataset, "val")
    rows = datasets.rows(flowers.dataset, "val")
    probabilities = OnnxModel(trained, info, threads=1).run(rows)["probabilities"]
    assert tuple(info.decision.thresholds) == LABELS
    for number, (label, threshold) in enumerate(info.decision.thresholds.items()):
        certain = (probabilities.argmax(axis=1) == number) & (probabilities.max(axis=1) >= threshold)
        assert certain.any(), label
        assert (truth[certain] == number).mean() >= 0.95, label


def test_shuffled_labels_teach_nothing(flowers, tmp_path):
    found = []
    for seed in range(4):
        train(flowers.dataset, tmp_path / "bad", estimator(shuffle_labels=True), seed)
        found.append(accuracy(tmp_path / "bad", flowers.dataset))
    assert sum(found) / len(found) < 0.6


def test_a_label_without_training_rows_is_named(flowers, tmp_path):
    folder = shutil.copytree(flowers.dataset, tmp_path / "dataset")
    info = datasets.read_info(folder)
    datasets.write_info(folder, info.model_copy(update={"labels": (*LABELS, "blue flag")}))
    with pytest.raises(DataError, match="no training rows of blue flag"):
        train(folder, tmp_path / "out", estimator(), SEED)
    assert not (tmp_path / "out").exists()


def test_a_dataset_without_validation_is_refused(flowers, tmp_path):
    folder = shutil.copytree(flowers.dataset, tmp_path / "dataset")
    shutil.rmtree(folder / "val")
    with pytest.raises(DataError, match="no split 'val'"):
        train(folder, tmp_path / "out", estimator(), SEED)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("part", "wrong"), [("temperature", 1.5), ("mean", np.ones(4)), ("temperature", np.nan)]
)
def test_a_graph_that_answers_otherwise_leaves_no_checkpoint(flowers, tmp_path, monkeypatch, part, wrong):
    to_onnx = estimators.to_onnx

    def another(classifier, path):
        to_onnx(dataclasses.replace(classifier, **{part: wrong}), path)

    monkeypatch.setattr(estimators, "to_onnx", another)
    with pytest.raises(PackageError, match=r"differs from the trained model.*do not ship it"):
        train(flowers.dataset, tmp_path / "out", estimator(), SEED)
    assert not (tmp_path / "out").exists()


def test_a_run_is_told_and_ended(flowers, tmp_path, registry):
    run = tracking.begin("flowers", {"seed": SEED})
    info = train(flowers.dataset, tmp_path / "out", estimator(), SEED, run)
    assert info.run_id == run.id
    told = tracking.client().get_run(run.id)
    assert told.data.metrics == {"val_accuracy": info.validation_accuracy}
    assert told.info.status == "FINISHED"


def test_what_trains_networks_is_not_loaded(flowers, tmp_path, registry):
    script = f"""
import sys
from pathlib import Path
from bonafide.model.estimators import train
from bonafide.registry import tracking
from bonafide.task import Estimator
run = tracking.begin("flowers", {{}})
config = Estimator(architecture="logistic_regression")
train(Path({str(flowers.dataset)!r}), Path({str(tmp_path / "out")!r}), config, {SEED}, run)
assert not {{"torch", "lightning", "matplotlib", "IPython"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", script], check=True)


FAR = {"a Unix time": (1.79e9, 86_400), "metres north": (5.4e6, 50), "pressure": (101_325, 30)}


@pytest.mark.parametrize("middle", FAR)
@pytest.mark.parametrize("architecture", ESTIMATORS)
def test_columns_far_from_zero_are_exported_alike(tmp_path, architecture, middle):
    random, (mean, spread) = np.random.default_rng(1), FAR[middle]
    truth = random.integers(0, 2, 300)
    columns = (mean + spread * (random.random((300, 2)) + truth[:, None])).astype(np.float32)
    made = fitted(estimator(architecture), columns, truth, SEED)
    to_onnx(made, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    served = dict(zip(("probabilities", "embedding"), session.run(None, {"columns": columns}), strict=True))
    for name, wanted in made.answers(columns).items():
        assert difference(served[name], wanted) < 1e-5


def test_what_no_row_should_have_gets_finite_numbers(trained):
    model = OnnxModel(trained, read_info(trained), threads=1)
    answers = model.run(np.full((1, len(FEATURES)), 3e38, np.float32), ("probabilities", "embedding"))
    assert all(np.isfinite(values).all() for values in answers.values())

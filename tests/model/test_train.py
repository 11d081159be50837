import hashlib
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from bonafide.data import dataset as datasets
from bonafide.errors import DataError
from bonafide.model.answers import Answers, answer
from bonafide.model.checkpoint import WEIGHTS, load, read_info
from bonafide.model.images import Images
from bonafide.model.info import Pretrained
from bonafide.model.pretrained import find
from bonafide.model.runtime import OnnxModel
from bonafide.model.train import Training, _scratch, train
from bonafide.registry import tracking
from bonafide.task import Model
from tests.conftest import SEED, SIZE


def digest(checkpoint: Path) -> str:
    return hashlib.sha256((checkpoint / WEIGHTS).read_bytes()).hexdigest()


def changed(config: Model, **values) -> Model:
    return Model.model_validate(config.model_dump() | values)


def answered(checkpoint: Path, dataset: Path, split: str) -> Answers:
    model = OnnxModel(checkpoint, read_info(checkpoint), threads=1)
    return answer(model, dataset, split, model.info.outputs)


def accuracy(checkpoint: Path, dataset: Path, split: str = "test") -> float:
    truth = datasets.read(dataset, split, ["label"])["label"].to_numpy()
    return float((answered(checkpoint, dataset, split)["probabilities"].argmax(1) == truth).mean())


def logits(checkpoint: Path, dataset: Path) -> tuple[np.ndarray, np.ndarray]:
    images = Images(dataset, "val", SIZE)
    pixels = torch.stack([pixels for pixels, _ in images])
    with torch.inference_mode():
        return load(checkpoint).logits(pixels).numpy(), images.labels


def nll(scores: np.ndarray, truth: np.ndarray) -> float:
    return -log_softmax(scores, axis=1)[np.arange(len(truth)), truth].mean()


def test_it_learns_and_does_not_collapse_in_evaluation(checkpoint, dataset):
    assert accuracy(checkpoint, dataset) > 0.7
    probabilities = answered(checkpoint, dataset, "test")["probabilities"]
    assert set(probabilities.argmax(axis=1)) == {0, 1, 2}


def test_a_run_is_told_each_epoch_and_ended(dataset, tiny, tmp_path, registry):
    run = tracking.begin("pets", {"seed": SEED})
    info = train(dataset, tmp_path / "out", changed(tiny.model, epochs=2), SEED, run)
    assert info.run_id == run.id
    told = tracking.client().get_run(run.id)
    assert told.info.status == "FINISHED"
    losses = tracking.client().get_metric_history(run.id, "val_loss")
    assert [loss.value for loss in losses] == pytest.approx(
        [row["val_loss"] for row in info.history], abs=1e-4
    )


@pytest.mark.e2e
def test_shuffled_labels_teach_nothing(checkpoint, dataset, tiny, tmp_path):
    """On the whole: one shuffle may leave a label the majority where it belongs."""
    found = []
    for seed in range(4):
        train(dataset, tmp_path / "bad", changed(tiny.model, shuffle_labels=True, epochs=2), seed)
        found.append(accuracy(tmp_path / "bad", dataset))
    assert sum(found) / len(found) < 0.5


@pytest.mark.e2e
def test_a_seed_gives_the_same_bytes_and_another_seed_others(checkpoint, dataset, tiny, tmp_path, own_home):
    same, other = (
        train(dataset, tmp_path / name, tiny.model, seed) for name, seed in (("same", SEED), ("other", 2))
    )
    assert same == read_info(checkpoint)
    assert digest(tmp_path / "same") == digest(checkpoint)
    assert digest(tmp_path / "other") != digest(checkpoint)
    assert not list((own_home / "training").iterdir()), "what a resume would need stays behind"
    assert other.seed == 2


TRAIN = """
    import sys
    from pathlib import Path
    from bonafide.model.train import train
    from bonafide.task import Model

    dataset, out, config, seed = sys.argv[1:]
    train(Path(dataset), Path(out), Model.model_validate_json(config), int(seed))
"""


@pytest.mark.e2e
@pytest.mark.parametrize("begins", ["none", WEIGHTS])
def test_a_killed_training_goes_on_as_if_nothing_had_been(
    dataset, checkpoint, tiny, tmp_path, own_home, capsys, begins
):
    weights = begins if begins == "none" else str(checkpoint / WEIGHTS)
    config = changed(tiny.model, augmentation="traces", dropout=0.5, patience=20, epochs=6, weights=weights)
    arguments = [dataset, tmp_path / "out", config.model_dump_json(), str(SEED)]
    script = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(TRAIN), *arguments]
    child = subprocess.Popen(script, stderr=subprocess.PIPE, text=True, env=os.environ)
    assert any("progress: Training 1/6" in line for line in child.stderr)
    while not list(own_home.glob("training/*/last.ckpt")):
        assert child.poll() is None
        time.sleep(0.005)
    child.kill()
    assert child.wait() == -signal.SIGKILL
    assert not (tmp_path / "out").exists()

    resumed = train(dataset, tmp_path / "out", config, SEED)
    assert "(resumed)" in capsys.readouterr().err
    uninterrupted = train(dataset, tmp_path / "uninterrupted", config, SEED)
    assert "(resumed)" not in capsys.readouterr().err
    assert digest(tmp_path / "out") == digest(tmp_path / "uninterrupted")
    assert resumed == uninterrupted
    assert len(resumed.history) == 6


def test_it_begins_from_weights_and_records_them(checkpoint, dataset, tiny, tmp_path):
    file = shutil.copyfile(checkpoint / WEIGHTS, tmp_path / "begin.safetensors")
    still = changed(
        tiny.model, epochs=1, learning_rate=1e-9, weights=str(file), weights_digest=digest(checkpoint)
    )
    info = train(dataset, tmp_path / "out", still, SEED)
    assert info.pretrained == Pretrained(source="begin.safetensors", digest=digest(checkpoint))
    assert read_info(checkpoint).pretrained is None
    before, after = load(checkpoint), load(tmp_path / "out")
    for (name, old), new in zip(before.named_parameters(), after.parameters(), strict=True):
        assert torch.allclose(old, new, atol=1e-6) == name.startswith("backbone"), name


def test_a_file_of_weights_that_changed_is_refused(checkpoint, dataset, tiny, tmp_path):
    config = changed(tiny.model, weights=str(checkpoint / WEIGHTS), weights_digest="0" * 64)
    with pytest.raises(DataError, match="has changed since the run was submitted; run again"):
        train(dataset, tmp_path / "out", config, SEED)


def test_a_training_of_other_weights_does_not_go_on_from_these(tmp_path):
    config = Model(architecture="forensic_cnn", weights=str(tmp_path / "begin.pth"))
    folders = set()
    for content in (b"one", b"another", b"one"):
        (tmp_path / "begin.pth").write_bytes(content)
        folders.add(_scratch("d" * 64, config, SEED, find(config)))
    assert len(folders) == 2


def test_it_stops_early_and_keeps_the_epoch_with_the_least_loss(dataset, tiny, tmp_path):
    info = train(dataset, tmp_path / "out", changed(tiny.model, epochs=30, patience=1), SEED)
    losses = [row["val_loss"] for row in info.history]
    assert len(losses) < 30
    assert [row["epoch"] for row in info.history] == list(range(len(losses)))
    assert losses[-1] >= min(losses)
    assert info.best_epoch == int(np.argmin(losses)) < len(losses) - 1
    assert nll(*logits(tmp_path / "out", dataset)) == pytest.approx(min(losses), abs=1e-3)


def test_the_temperature_lowers_the_loss_on_validation(checkpoint, dataset):
    scores, truth = logits(checkpoint, dataset)
    temperature = read_info(checkpoint).temperature
    assert load(checkpoint).get_buffer("temperature").item() == pytest.approx(temperature)
    assert temperature != 1
    assert nll(scores / temperature, truth) < nll(scores, truth)


def test_the_embedding_is_the_pca_of_the_training_images(checkpoint, dataset):
    embedding = answered(checkpoint, dataset, "train")["embedding"]
    covariance = np.cov(embedding.T)
    spread = np.diag(covariance)
    assert embedding.shape[1] == 32
    assert np.abs(embedding.mean(axis=0)).max() < 1e-3 * np.sqrt(spread[0])
    assert (np.diff(spread) <= 1e-4 * spread[0]).all()
    assert np.abs(covariance - np.diag(spread)).max() < 1e-3 * spread[0]


class Labelled:
    """As much of a split as class weights need."""

    def __init__(self, labels: np.ndarray) -> None:
        self.labels = labels

    def __len__(self) -> int:
        return len(self.labels)


def test_rare_classes_weigh_more(tiny):
    labels = np.array([0] * 60 + [1] * 30 + [2] * 10)
    weights = Training(tiny.model, tiny.labels, Labelled(labels), SEED).get_buffer("weights").numpy()
    assert weights * [60, 30, 10] == pytest.approx([100 / 3] * 3)


def test_a_class_without_training_images_has_a_finite_weight(tiny):
    images = Labelled(np.zeros(10, int))
    assert np.isfinite(Training(tiny.model, tiny.labels, images, SEED).get_buffer("weights")).all()


def test_thresholds_are_probabilities_of_the_labels(checkpoint, tiny):
    thresholds = read_info(checkpoint).decision.thresholds
    assert tuple(thresholds) == tiny.labels
    assert all(0 <= threshold <= 1 for threshold in thresholds.values())


def test_a_dataset_without_validation_is_refused_before_training(dataset, tiny, tmp_path):
    folder = shutil.copytree(dataset, tmp_path / "dataset")
    shutil.rmtree(folder / "val")
    with pytest.raises(DataError, match="no split 'val'"):
        train(folder, tmp_path / "out", tiny.model, SEED)
    assert not (tmp_path / "out").exists()
    with pytest.raises(DataError, match="holds no dataset"):
        train(tmp_path, tmp_path / "out", tiny.model, SEED)


def test_the_record_names_the_data(checkpoint, dataset):
    assert read_info(checkpoint).data_digest == datasets.read_info(dataset).digest

"""Training an estimator on a table with scikit-learn: deterministic for a seed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bonafide.data import dataset as datasets
from bonafide.data.dataset import DatasetInfo
from bonafide.errors import DataError
from bonafide.files import new_folder, sha256, write_json
from bonafide.model.calibration import fit_temperature, operating_thresholds
from bonafide.model.checkpoint import INFO, TrainingInfo
from bonafide.model.classifier import Classifier, fitted, to_onnx
from bonafide.model.decision import Decision, label_of
from bonafide.model.info import MODEL, TableInput
from bonafide.model.parity import difference, refuse_difference
from bonafide.model.run import Run
from bonafide.model.runtime import OnnxModel
from bonafide.task import Estimator

PROBED = 256


def train(dataset: Path, out: Path, config: Estimator, seed: int, run: Run | None = None) -> TrainingInfo:
    """Train on ``train``, calibrate on ``val``, and write a checkpoint to ``out``: the graph and its record.

    Raises:
        DataError: ``dataset`` lacks a split, or ``train`` lacks a label.
        PackageError: the graph does not answer as the estimator does.
    """
    info = datasets.read_info(dataset)
    columns, truth = _read(dataset, "train")
    unseen, labels = _read(dataset, "val")
    _refuse_missing(dataset, info, truth)
    if config.shuffle_labels:
        truth = np.random.default_rng(seed).permutation(truth)
    classifier = fitted(config, columns, truth, seed)
    logits = classifier.logits(unseen)
    classifier = replace(classifier, temperature=fit_temperature(logits, labels))
    probabilities = classifier.answers(unseen)["probabilities"]
    thresholds = operating_thresholds(probabilities, labels, info.labels, config.certain_precision)
    trained = TrainingInfo(
        labels=info.labels,
        architecture=config.architecture,
        input=TableInput(features=info.features),
        embedding_size=len(info.features),
        temperature=classifier.temperature,
        decision=Decision(thresholds=thresholds),
        data_digest=info.digest,
        run_id=run.id if run else None,
        model=config,
        seed=seed,
        parameters=classifier.parameters,
        validation_accuracy=float((label_of(probabilities) == labels).mean()),
    )
    saved = _save(out, classifier, trained, unseen[:PROBED])
    if run:
        run.finish({"val_accuracy": saved.validation_accuracy})
    return saved


def _read(dataset: Path, split: str) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    labels = datasets.read(dataset, split, ["label"])["label"].to_numpy()
    return datasets.rows(dataset, split), labels


def _refuse_missing(dataset: Path, info: DatasetInfo, truth: NDArray[np.int64]) -> None:
    there = set(truth.tolist())
    if missing := [name for number, name in enumerate(info.labels) if number not in there]:
        raise DataError(f"{dataset} has no training rows of {', '.join(missing)}; give some, or fewer labels")


def _save(out: Path, classifier: Classifier, info: TrainingInfo, probe: NDArray[np.float32]) -> TrainingInfo:
    with new_folder(out, INFO) as folder:
        to_onnx(classifier, folder / MODEL)
        info = info.model_copy(update={"model_digest": sha256(folder / MODEL)})
        check_parity(folder, info, classifier, probe)
        write_json(folder / INFO, info.model_dump(mode="json"))
    return info


def check_parity(
    folder: Path, info: TrainingInfo, classifier: Classifier, probe: NDArray[np.float32]
) -> dict[str, float]:
    """Let the graph in ``folder`` and ``classifier`` answer ``probe`` float32 [N, C] alike.

    Returns:
        by output their :func:`bonafide.model.parity.difference`.

    Raises:
        PackageError: a difference exceeds 1e-4: the served model would not be the one that was trained.
    """
    served, trained = OnnxModel(folder, info).run(probe, info.outputs), classifier.answers(probe)
    found = {name: difference(served[name], trained[name]) for name in info.outputs}
    refuse_difference(found)
    return found

"""The evaluation step: what a detector does on held-out images, as files for machines and for people."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bonafide.data import dataset as datasets
from bonafide.errors import DataError
from bonafide.evaluation.failures import confident_errors, representatives
from bonafide.evaluation.gallery import Tile
from bonafide.evaluation.metrics import Metrics, measure
from bonafide.evaluation.robustness import Degraded, robustness
from bonafide.files import new_folder, write_text
from bonafide.model.architectures import Detector
from bonafide.model.checkpoint import TrainingInfo, load, read_info
from bonafide.model.images import Images
from bonafide.model.inference import Answers, answer, classify, latency
from bonafide.task import Config, Evaluation

SPLIT = "test"
MEASURED, PREDICTIONS, REPORT = "evaluation.json", "predictions.parquet", "report.html"
COLUMNS = ["sha256", "label", "generator", "source", "group"]


class Measured(Config):
    """``evaluation.json``: all that was measured. ``unseen`` are generators that training never saw."""

    metrics: Metrics
    robustness: tuple[Degraded, ...]
    latency_ms: float
    unseen: tuple[str, ...]

    def headline(self) -> dict[str, float]:
        """The figures that run lists show."""
        names = ("accuracy", "balanced_accuracy", "macro_f1", "auroc", "average_precision", "ece")
        return {name: getattr(self.metrics, name).value for name in names}


@dataclass(frozen=True)
class Predictions:
    """Arrays: truth int64 [N], probabilities FP32 [N, K], embedding FP32 [N, E]."""

    truth: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    embedding: NDArray[np.float32]


def evaluate(checkpoint: Path, dataset: Path, out: Path, config: Evaluation, seed: int) -> Measured:
    """Answer the test split and write ``evaluation.json``, ``predictions.parquet`` and ``report.html``.

    Raises:
        DataError: the dataset lacks a split or its labels are not the detector's.
        PackageError: ``checkpoint`` is no checkpoint.
    """
    detector, training = load(checkpoint), read_info(checkpoint)
    if datasets.read_info(dataset).labels != training.labels:
        raise DataError(f"{dataset} has other labels than the detector, {list(training.labels)}; train again")
    images = Images(dataset, SPLIT, training.model.input_size)
    rows = datasets.read(dataset, SPLIT, COLUMNS)
    slices = {name: rows[name].to_pylist() for name in ("generator", "source")}
    answers = answer(detector, images)
    metrics = measure(
        images.labels, answers.probabilities, training.labels, config.bootstrap_samples, seed, slices
    )
    measured = Measured(
        metrics=metrics,
        robustness=tuple(_robustness(detector, images, config.robustness_images, seed)),
        latency_ms=latency(detector),
        unseen=_unseen(dataset, slices["generator"]),
    )
    with new_folder(out, MEASURED) as folder:
        write_text(folder / MEASURED, measured.model_dump_json(indent=2) + "\n")
        _write_predictions(folder / PREDICTIONS, rows, answers)
        write_text(folder / REPORT, _report(training, measured, images, answers, slices["generator"]))
    return measured


def read_measured(evaluation: Path) -> Measured:
    """Read ``evaluation.json`` back."""
    return Measured.model_validate_json((evaluation / MEASURED).read_bytes())


def read_predictions(evaluation: Path) -> Predictions:
    """Read ``predictions.parquet`` back."""
    table = pq.read_table(evaluation / PREDICTIONS)
    arrays = (np.array(table[name].to_pylist(), np.float32) for name in ("probabilities", "embedding"))
    return Predictions(table["label"].to_numpy(), *arrays)


def _robustness(detector: Detector, images: Images, count: int, seed: int) -> list[Degraded]:
    chosen = np.random.default_rng(seed).permutation(len(images))[:count]
    pixels = np.stack([images.pixels(index) for index in chosen])
    return robustness(lambda batch: classify(detector, batch), pixels, images.labels[chosen])


def _unseen(dataset: Path, generators: list[str | None]) -> tuple[str, ...]:
    trained_on = set(datasets.read(dataset, "train", ["generator"])["generator"].to_pylist())
    return tuple(sorted({name for name in generators if name} - trained_on))


def _write_predictions(path: Path, rows: pa.Table, answers: Answers) -> None:
    for name in ("probabilities", "embedding"):
        column = pa.array(getattr(answers, name).tolist(), pa.list_(pa.float32()))
        rows = rows.append_column(name, column)
    pq.write_table(rows, path)


def _report(
    training: TrainingInfo, measured: Measured, images: Images, answers: Answers, generators: list[str | None]
) -> str:
    from bonafide.evaluation.report import evaluation_html

    labels, probabilities = training.labels, answers.probabilities
    shown = [
        *confident_errors(images.labels, probabilities, 12),
        *representatives(images.labels, probabilities, 4),
    ]
    tiles = [
        Tile(
            images.pixels(index),
            answers.heatmap[index],
            truth=labels[images.labels[index]],
            predicted=labels[probabilities[index].argmax()],
            confidence=float(probabilities[index].max()),
            caption=generators[index] or "",
        )
        for index in shown
    ]
    return evaluation_html(
        training.model.architecture,
        measured.metrics,
        robustness=measured.robustness,
        history=training.history,
        tiles=tiles,
        unseen=measured.unseen,
        facts={
            "data digest": training.data_digest,
            "run": training.run_id or "not tracked",
            "seed": str(training.seed),
        },
    )

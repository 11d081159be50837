"""The evaluation step: what a detector does on held-out images, as files for machines and for people."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bonafide.data import dataset as datasets
from bonafide.errors import DataError
from bonafide.evaluation.failures import confident_errors, representatives
from bonafide.evaluation.gallery import Tile
from bonafide.evaluation.measure import measure
from bonafide.evaluation.measured import (
    EVALUATION_REPORT,
    MEASURED,
    PREDICTIONS,
    SPLIT,
    Measured,
    group_numbers,
)
from bonafide.evaluation.robustness import Degraded, robustness
from bonafide.files import new_folder, write_text
from bonafide.model.architectures import Detector
from bonafide.model.checkpoint import TrainingInfo, load, read_info
from bonafide.model.images import Images
from bonafide.model.inference import Answers, answer, classify, latency
from bonafide.task import Evaluation

COLUMNS = ["sha256", "label", "generator", "source", "group"]


def evaluate(checkpoint: Path, dataset: Path, out: Path, config: Evaluation, seed: int) -> Measured:
    """Answer the test split and write ``evaluation.json``, ``predictions.parquet`` and ``evaluation.html``.

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
        images.labels,
        answers.probabilities,
        training.labels,
        group_numbers(rows),
        config.bootstrap_samples,
        seed,
        slices,
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
        page = _report(training, measured, images, answers, slices["generator"])
        write_text(folder / EVALUATION_REPORT, page)
    return measured


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

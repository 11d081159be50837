"""The evaluate step: what the graph does on held-out inputs, as files for machines and for people."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bonafide.config import Config, read
from bonafide.data import dataset as datasets
from bonafide.errors import DataError
from bonafide.evaluation.examined import Asked, Examined
from bonafide.evaluation.importance import Importance
from bonafide.evaluation.measure import measure, measure_certainty
from bonafide.evaluation.metrics import Certainty, Metrics
from bonafide.evaluation.robustness import Degraded
from bonafide.files import new_folder, write_json, write_text
from bonafide.modality import NOUNS, arm
from bonafide.model.answers import Answers
from bonafide.model.checkpoint import TrainingInfo, read_info
from bonafide.model.decision import decide
from bonafide.model.runtime import OnnxModel
from bonafide.task import Evaluation

SPLIT = "test"
MEASURED, HEADLINE, PREDICTIONS = "evaluation.json", "metrics.json", "predictions.parquet"
EVALUATION_REPORT = "evaluation.html"
COLUMNS = ["sha256", "label", "generator", "source", "group"]


class Measured(Config):
    """``evaluation.json``: all that was measured, of which graph, on which data.

    ``unseen`` are generators that training never saw.
    """

    model_digest: str
    data_digest: str
    metrics: Metrics
    certainty: Certainty
    robustness: tuple[Degraded, ...]
    importance: tuple[Importance, ...] = ()
    unseen: tuple[str, ...]

    def headline(self) -> dict[str, float]:
        """The figures that run lists and ``metrics.json`` show."""
        names = ("accuracy", "balanced_accuracy", "macro_f1", "auroc", "average_precision", "ece")
        return {name: getattr(self.metrics, name).value for name in names}


@dataclass(frozen=True)
class Predictions:
    """Arrays: truth int64 [N], probabilities FP32 [N, K], groups int64 [N] (equal where groups are)."""

    truth: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    groups: NDArray[np.int64]


def evaluate(
    checkpoint: Path,
    dataset: Path,
    out: Path,
    config: Evaluation,
    seed: int,
    groups_are: str = "",
    title: str = "",
) -> Measured:
    """Answer the test split and write ``evaluation.json``, ``metrics.json`` (its headline figures),
    ``predictions.parquet`` and ``evaluation.html``.

    Args:
        groups_are: what a group is in this task, as one sentence for the report.
        title: of the task, for the report.

    Raises:
        DataError: the dataset lacks a split or its labels are not the detector's.
        PackageError: ``checkpoint`` is no checkpoint.
    """
    training, held_out = read_info(checkpoint), datasets.read_info(dataset)
    if held_out.labels != training.labels:
        raise DataError(f"{dataset} has other labels than the detector, {list(training.labels)}; train again")
    model, modality = OnnxModel(checkpoint, training, threads=1), training.input.modality
    rows = datasets.read(dataset, SPLIT, COLUMNS)
    answers = arm(modality, "ask")(model, dataset, SPLIT, training.outputs)
    predictions = _predictions(rows, answers["probabilities"])
    slices = {name: rows[name].to_pylist() for name in ("generator", "source")}
    metrics = measure(
        predictions.truth,
        predictions.probabilities,
        training.labels,
        predictions.groups,
        config.bootstrap_samples,
        seed,
        slices,
        NOUNS[modality],
    )
    decided = decide(answers["probabilities"], training.labels, training.decision)
    captions = [name or "" for name in slices["generator"]]
    asked = Asked(model, dataset, SPLIT, predictions.truth, answers, decided, captions, config, seed)
    examined: Examined = arm(modality, "examine")(asked)
    measured = Measured(
        model_digest=training.model_digest,
        data_digest=held_out.digest,
        metrics=metrics,
        certainty=measure_certainty(
            predictions.truth, decided, predictions.groups, config.bootstrap_samples, seed
        ),
        robustness=examined.robustness,
        importance=examined.importance,
        unseen=_unseen(dataset, slices["generator"]),
    )
    with new_folder(out, MEASURED) as folder:
        write_text(folder / MEASURED, measured.model_dump_json(indent=2) + "\n")
        write_json(folder / HEADLINE, measured.headline())
        _write_predictions(folder / PREDICTIONS, rows, answers)
        write_text(folder / EVALUATION_REPORT, _report(training, measured, examined, groups_are, title))
    return measured


def read_measured(evaluation: Path) -> Measured:
    """Read ``evaluation.json`` back.

    Raises:
        DataError: it is not there, or was written by something else.
    """
    return read(Measured, evaluation / MEASURED, "evaluate")


def read_predictions(evaluation: Path) -> Predictions:
    """Read ``predictions.parquet`` back.

    Raises:
        DataError: it is not there, or is no such table.
    """
    try:
        table = pq.read_table(evaluation / PREDICTIONS)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{evaluation / PREDICTIONS} cannot be read: {error}; evaluate again") from error
    return _predictions(table, np.array(table["probabilities"].to_pylist(), np.float32))


def _predictions(rows: pa.Table, probabilities: NDArray[np.float32]) -> Predictions:
    groups = np.unique(np.array(rows["group"].to_pylist(), object), return_inverse=True)[1]
    return Predictions(rows["label"].to_numpy(), probabilities, groups)


def _unseen(dataset: Path, generators: list[str | None]) -> tuple[str, ...]:
    trained_on = set(datasets.read(dataset, "train", ["generator"])["generator"].to_pylist())
    return tuple(sorted({name for name in generators if name} - trained_on))


def _write_predictions(path: Path, rows: pa.Table, answers: Answers) -> None:
    for name in answers.keys() - {"heatmap"}:
        rows = rows.append_column(name, pa.array(answers[name].tolist(), pa.list_(pa.float32())))
    pq.write_table(rows, path)


def _report(
    training: TrainingInfo, measured: Measured, examined: Examined, groups_are: str, title: str
) -> str:
    from bonafide.evaluation.report import evaluation_html

    return evaluation_html(
        title or training.architecture,
        measured.metrics,
        certainty=measured.certainty,
        robustness=measured.robustness,
        importance=measured.importance,
        history=training.history,
        tiles=examined.tiles,
        cases=examined.cases,
        unseen=measured.unseen,
        groups_are=groups_are,
        facts={
            "architecture": training.architecture,
            "data digest": training.data_digest,
            "model digest": training.model_digest,
            "run": training.run_id or "not tracked",
            "seed": str(training.seed),
        },
    )

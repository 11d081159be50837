"""The export step: a detector that passed its gate becomes a signed package."""

import io
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from bonafide.data import dataset as datasets
from bonafide.errors import PackageError
from bonafide.evaluation.card import CardFacts, model_card
from bonafide.evaluation.compare import answers_of, read_comparison
from bonafide.evaluation.gate import VERDICT, Verdict, read_verdict
from bonafide.evaluation.measured import Measured, Predictions, read_measured, read_predictions
from bonafide.files import sha256
from bonafide.model import checkpoint as checkpoints
from bonafide.model.graph import check_parity, to_onnx
from bonafide.model.package import MODEL, PackageInfo, build
from bonafide.model.runtime import OnnxModel
from bonafide.model.signing import ensure_key
from bonafide.task import Task
from bonafide.version import code_version

CARD, REFERENCE = "MODEL_CARD.md", "reference.npz"


def export(
    checkpoint: Path,
    dataset: Path,
    evaluation: Path,
    comparison: Path,
    gate: Path,
    out: Path,
    task: Task,
    keys: Path,
) -> PackageInfo:
    """Write the signed package; the graph must answer the test images as the evaluated model did.

    Raises:
        PackageError: the gate refused this model, or the graph does not answer like it.
    """
    verdict = read_verdict(gate)
    if not verdict.promote:
        raise PackageError(f"{gate / VERDICT} refuses this model: train a better one before exporting")
    detector, training = checkpoints.load(checkpoint), checkpoints.read_info(checkpoint)
    measured, predictions = read_measured(evaluation), read_predictions(evaluation)
    with tempfile.TemporaryDirectory() as scratch:
        graph = Path(scratch) / MODEL
        to_onnx(detector, graph)
        info = _describe(training, measured, detector.heatmap_size(), detector.embedding_size, task.name)
        info = info.model_copy(update={"model_digest": sha256(graph)})
        check_parity(answers_of(OnnxModel(graph.parent, info), dataset), predictions.probabilities)
        facts = _facts(task, dataset, comparison, training, measured, verdict, info)
        files: dict[str, Path | bytes] = {
            MODEL: graph,
            CARD: model_card(facts).encode(),
            VERDICT: gate / VERDICT,
            REFERENCE: _reference(predictions),
        }
        return build(out, info, files, ensure_key(keys).private)


def _describe(
    training: checkpoints.TrainingInfo,
    measured: Measured,
    heatmap_size: tuple[int, int],
    embedding_size: int,
    task: str,
) -> PackageInfo:
    return PackageInfo(
        task=task,
        labels=training.labels,
        architecture=training.model.architecture,
        input_size=training.model.input_size,
        temperature=training.temperature,
        thresholds=training.thresholds,
        embedding_size=embedding_size,
        heatmap_size=heatmap_size,
        metrics=measured.metrics.model_dump(mode="json"),
        data_digest=training.data_digest,
        code_version=code_version(),
        run_id=training.run_id,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _facts(
    task: Task,
    dataset: Path,
    comparison: Path,
    training: checkpoints.TrainingInfo,
    measured: Measured,
    verdict: Verdict,
    info: PackageInfo,
) -> CardFacts:
    return CardFacts(
        task=task,
        dataset=datasets.read_info(dataset),
        package=info,
        metrics=measured.metrics,
        verdict=verdict,
        comparison=read_comparison(comparison),
        robustness=measured.robustness,
        unseen=measured.unseen,
        parameters=training.parameters,
        latency_ms=measured.latency_ms,
    )


def _reference(predictions: Predictions) -> bytes:
    """What drift is measured against: the test images' embeddings and probabilities, arrays only."""
    stream = io.BytesIO()
    np.savez_compressed(
        stream, embedding=predictions.embedding, probabilities=predictions.probabilities, allow_pickle=False
    )
    return stream.getvalue()

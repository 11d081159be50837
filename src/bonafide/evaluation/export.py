"""The export step: a model that passed its gate becomes a signed package."""

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from bonafide.data import dataset as datasets
from bonafide.errors import PackageError
from bonafide.evaluation.card import CardFacts, model_card
from bonafide.evaluation.compare import read_comparison
from bonafide.evaluation.evaluate import Measured, read_measured
from bonafide.evaluation.gate import VERDICT, Verdict, read_verdict
from bonafide.modality import arm
from bonafide.model.checkpoint import TrainingInfo, read_info
from bonafide.model.info import MODEL, ModelInfo
from bonafide.model.package import REFERENCE, STATISTIC, PackageInfo, build
from bonafide.model.runtime import OnnxModel
from bonafide.task import Task
from bonafide.version import code_version

CARD = "MODEL_CARD.md"
REFERENCE_SPLIT, REFERENCE_ROWS = "val", 5000


def export(
    checkpoint: Path,
    dataset: Path,
    evaluation: Path,
    comparison: Path,
    gate: Path,
    out: Path,
    task: Task,
    key: str | Path,
) -> PackageInfo:
    """Write the signed package around the graph that was evaluated.

    Args:
        key: the private key, as :func:`bonafide.model.signing.sign` takes it.

    Raises:
        PackageError: the gate refused this model, or judged another one.
    """
    verdict, training, measured = read_verdict(gate), read_info(checkpoint), read_measured(evaluation)
    if not verdict.promote:
        raise PackageError(f"{gate / VERDICT} refuses this model: train a better one before exporting")
    told = (verdict, measured, read_comparison(comparison))
    judged = {(each.model_digest, each.data_digest) for each in told}
    if judged != {(training.model_digest, datasets.read_info(dataset).digest)}:
        raise PackageError(f"{gate / VERDICT} did not judge {checkpoint} on {dataset}; judge it again")
    info = _describe(training, measured, task.name)
    files: dict[str, Path | bytes] = {
        MODEL: checkpoint / MODEL,
        CARD: model_card(_facts(task, dataset, comparison, training, measured, verdict, info)).encode(),
        VERDICT: gate / VERDICT,
        REFERENCE: _reference(OnnxModel(checkpoint, training, threads=1), dataset),
    }
    return build(out, info, files, key)


def _describe(training: TrainingInfo, measured: Measured, task: str) -> PackageInfo:
    known = {name: getattr(training, name) for name in ModelInfo.model_fields}
    return PackageInfo(
        **known,
        task=task,
        metrics=measured.metrics.model_dump(mode="json"),
        code_version=code_version(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _facts(
    task: Task,
    dataset: Path,
    comparison: Path,
    training: TrainingInfo,
    measured: Measured,
    verdict: Verdict,
    info: PackageInfo,
) -> CardFacts:
    compared = read_comparison(comparison)
    return CardFacts(
        task=task,
        dataset=datasets.read_info(dataset),
        package=info,
        metrics=measured.metrics,
        certainty=measured.certainty,
        verdict=verdict,
        comparison=compared,
        robustness=measured.robustness,
        importance=measured.importance,
        unseen=measured.unseen,
        parameters=training.parameters,
        groups_are=task.groups,
        latency_ms=compared.latency.median if compared.latency else None,
    )


def _reference(model: OnnxModel, dataset: Path) -> bytes:
    """What drift is measured against: the graph's answers for validation data, arrays only.

    Validation data have the mix that the model knows, without held-out generators. ``label`` int64 [N] is the
    truth, so that a window of another mix of labels can be weighed against it; ``group`` int64 [N] is equal
    for inputs that belong together. Of very many inputs, some are drawn.
    """
    outputs = [name for name in model.info.outputs if name != "heatmap"]
    modality = model.info.input.modality
    arrays: dict[str, Any] = dict(arm(modality, "ask")(model, dataset, REFERENCE_SPLIT, outputs))
    rows = datasets.read(dataset, REFERENCE_SPLIT, ["label", "group"])
    arrays["label"] = rows["label"].to_numpy()
    arrays["group"] = np.unique(np.array(rows["group"].to_pylist(), object), return_inverse=True)[1]
    found = arm(modality, "describe")(dataset, REFERENCE_SPLIT)
    for name in sorted({name for each in found for name in each}):
        arrays[f"{STATISTIC}{name}"] = np.array([each.get(name, np.nan) for each in found])
    chosen = np.sort(np.random.default_rng(0).permutation(len(found))[:REFERENCE_ROWS])
    stream = io.BytesIO()
    np.savez_compressed(stream, **{name: values[chosen] for name, values in arrays.items()})
    return stream.getvalue()

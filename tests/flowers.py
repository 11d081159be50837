"""Scikit-learn's iris as a task, and as a split dataset of 60, 45 and 45 rows in the layout of tables."""

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.datasets import load_iris

from bonafide.data import dataset as datasets
from bonafide.evaluation.compare import compare
from bonafide.evaluation.evaluate import evaluate
from bonafide.evaluation.export import export
from bonafide.evaluation.gate import gate
from bonafide.features import Feature
from bonafide.model.estimators import train
from bonafide.model.signing import ensure_key
from bonafide.source import ScikitLearnSource
from bonafide.task import Estimator, Evaluation, Gate, Task
from tests.conftest import Made

SEED = 42
LABELS = ("setosa", "versicolor", "virginica")
FEATURES = tuple(
    Feature(name=name, unit="cm", low=0.1, high=10)
    for name in ("sepal_length", "sepal_width", "petal_length", "petal_width")
)
SPLITS = {"train": slice(0, 60), "val": slice(60, 105), "test": slice(105, 150)}


def task(**changes) -> Task:
    settings = {
        "name": "iris",
        "title": "Species of iris flowers",
        "labels": LABELS,
        "modality": "table",
        "features": FEATURES,
        "groups": "A group is one flower.",
        "seed": SEED,
        "source": ScikitLearnSource(dataset="iris"),
        "model": Estimator(architecture="logistic_regression"),
        "evaluation": Evaluation(bootstrap_samples=100),
        "gate": Gate(minimum_groups=5, minimum_per_label=5, latency_ms=1000),
    }
    return Task(**settings | changes)


def dataset(folder: Path, features: tuple[Feature, ...] = FEATURES, labels: tuple[str, ...] = LABELS) -> Path:
    """Write it to ``folder``; with other ``features`` these are columns of noise."""
    values, truth = load_iris(return_X_y=True)
    order = np.random.default_rng(SEED).permutation(len(truth))
    values, truth = values[order].astype(np.float32), truth[order]
    if features != FEATURES:
        values = np.random.default_rng(SEED).standard_normal((len(truth), len(features)), np.float32)
    for split, rows in SPLITS.items():
        (folder / split).mkdir(parents=True)
        pq.write_table(
            _table(values[rows], truth[rows], features, labels), folder / split / "part-00000.parquet"
        )
    info = datasets.describe(folder, SPLITS, labels, modality="table", features=features, seed=SEED)
    datasets.write_info(folder, info)
    return folder


def _table(
    values: np.ndarray, truth: np.ndarray, features: tuple[Feature, ...], labels: tuple[str, ...]
) -> pa.Table:
    digests = [hashlib.sha256(row.astype("<f4").tobytes()).hexdigest() for row in values]
    rows = [dict(zip((feature.name for feature in features), row, strict=True)) for row in values.tolist()]
    columns = {
        "row": rows,
        "path": [f"iris, row {number}" for number in range(len(rows))],
        "label": truth.tolist(),
        "label_name": [labels[number] for number in truth],
        "sha256": digests,
        "source": ["iris"] * len(rows),
        "generator": [None] * len(rows),
        "group": digests,
        "given": [None] * len(rows),
    }
    return pa.table(columns, datasets.table_schema(features))


def make(folder: Path, own: Task) -> Made:
    """Every step from the dataset to the signed package of a first model."""
    names = ("keys", "dataset", "checkpoint", "evaluation", "comparison", "gate", "package")
    run = Made(own, *(folder / name for name in names))
    dataset(run.dataset)
    train(run.dataset, run.checkpoint, own.model, own.seed)
    evaluate(run.checkpoint, run.dataset, run.evaluation, own.evaluation, own.seed, own.groups)
    settings = (run.comparison, own.evaluation, own.seed)
    compare(run.checkpoint, run.evaluation, run.dataset, None, run.keys / "signing.pub", *settings)
    assert gate(run.evaluation, run.comparison, run.gate, own.gate).promote
    key = ensure_key(run.keys).private
    export(run.checkpoint, run.dataset, run.evaluation, run.comparison, run.gate, run.package, own, key)
    return run

"""What every server is asked with: the graph of the task iris, and the flowers as JSON objects."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
from sklearn.datasets import load_iris

from benchmarks.serving.subject import Subject
from bonafide import __version__
from bonafide.model import package, signing
from bonafide.model.classifier import fitted, to_onnx
from bonafide.model.decision import Decision
from bonafide.model.info import TableInput
from bonafide.model.package import PackageInfo
from bonafide.task import load_task

TASK = "iris"


def make(folder: Path) -> Subject:
    """Fit the task's estimator on all flowers, and write them to ``0.json`` … beside its signed package."""
    task, (flowers, truth) = load_task(TASK), load_iris(return_X_y=True)
    columns = flowers.astype(np.float32)
    folder.mkdir(parents=True, exist_ok=True)
    to_onnx(fitted(task.model, columns, truth, task.seed), folder / "model.onnx")
    info = PackageInfo(
        task=TASK,
        labels=task.labels,
        architecture=task.model.architecture,
        input=TableInput(features=task.features),
        temperature=1.0,
        decision=Decision(thresholds=dict.fromkeys(task.labels, 0)),
        embedding_size=len(task.features),
        metrics={},
        data_digest="0" * 64,
        code_version=__version__,
        run_id=None,
        created="2026-01-01T00:00:00Z",
    )
    key = signing.ensure_key(folder / "keys").private
    package.build(folder / "package", info, {"model.onnx": folder / "model.onnx"}, key)
    subject = Subject(folder)
    for number, row in enumerate(flowers):
        named = {feature.name: value for feature, value in zip(task.features, row, strict=True)}
        (folder / f"{number}.json").write_text(json.dumps(named))
    session = onnxruntime.InferenceSession(subject.graph, providers=["CPUExecutionProvider"])
    for path in (subject.expected, subject.expected_plain):
        np.save(path, session.run(["probabilities"], {"columns": columns})[0])
    return subject

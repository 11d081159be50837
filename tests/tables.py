"""A tiny signed package whose answers can be computed by hand: which column of a row is the largest?"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from bonafide.model import package, signing
from bonafide.model.package import PackageInfo
from tests.packages import Signed

LABELS = ("round", "long", "heavy")
FEATURES = (
    {"name": "width", "unit": "cm", "low": 0, "high": 7.9},
    {"name": "length", "unit": "cm", "low": 0.1, "high": 10},
    {"name": "weight", "unit": "g", "low": 0, "whole": True},
)
NAMES = tuple(feature["name"] for feature in FEATURES)
ROW = {"width": 5.1, "length": 3.5, "weight": 2}


def info(**changes) -> PackageInfo:
    settings = {
        "task": "shape",
        "labels": LABELS,
        "architecture": "logistic_regression",
        "input": {"modality": "table", "features": FEATURES},
        "temperature": 1.0,
        "decision": {"thresholds": dict.fromkeys(LABELS, 0.5)},
        "embedding_size": len(FEATURES),
        "metrics": {"accuracy": {"value": 1.0, "interval": [0.9, 1.0]}},
        "data_digest": "0" * 64,
        "code_version": "test",
        "run_id": None,
        "created": "2026-01-01T00:00:00Z",
    }
    return PackageInfo(**(settings | changes))


def graph() -> bytes:
    """Embedding: half of each column; probabilities: the softmax of that."""
    size = len(FEATURES)
    nodes = [
        helper.make_node("Mul", ["columns", "half"], ["embedding"]),
        helper.make_node("Softmax", ["embedding"], ["probabilities"], axis=1),
    ]
    tensor = helper.make_tensor_value_info
    outputs = [tensor(name, TensorProto.FLOAT, ["N", size]) for name in ("probabilities", "embedding")]
    inputs = [tensor("columns", TensorProto.FLOAT, ["N", size])]
    constants = [numpy_helper.from_array(np.float32(0.5), "half")]
    model = helper.make_model(
        helper.make_graph(nodes, "shape", inputs, outputs, constants),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=10,
    )
    onnx.checker.check_model(model)
    return model.SerializeToString()


def probabilities(rows) -> np.ndarray:
    """What the graph answers for [N, 3]."""
    powers = np.exp(np.asarray(rows, float) / 2)
    return powers / powers.sum(axis=1, keepdims=True)


def make(folder: Path, name: str = "package", **changes) -> Signed:
    """A package ``folder/name``; those in one folder are signed with one key."""
    keys = signing.ensure_key(folder / "keys")
    files = {"model.onnx": graph(), "MODEL_CARD.md": b"# Shapes\n", "gate.json": b"{}\n"}
    built = package.build(folder / name, info(**changes), files, keys.private)
    return Signed(folder / name, keys.public, built)


def task(folder: Path) -> Path:
    """The file of the task that the package answers."""
    import yaml

    columns = {name: name for name in NAMES}
    content = {
        "name": "shape",
        "title": "Shapes of fruit",
        "labels": [*LABELS],
        "modality": "table",
        "features": [dict(feature) for feature in FEATURES],
        "source": {"kind": "scikit-learn", "dataset": "iris", "columns": columns},
        "model": {"architecture": "logistic_regression"},
    }
    path = folder / "shape.yaml"
    path.write_text(yaml.safe_dump(content))
    return path

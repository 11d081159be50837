"""A tiny signed package whose answers can be computed by hand: which colour is an image's mean?"""

from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from bonafide.model import package, signing
from bonafide.model.package import PackageInfo
from bonafide.serving.api.topic import Topic

SIZE = 16
GRID = 4
LABELS = ("red", "green", "blue")
SHARPNESS = 6.0
TOPIC = Topic("colour", LABELS)


class Signed(NamedTuple):
    path: Path
    public_key: Path
    info: PackageInfo


def info(**changes) -> PackageInfo:
    settings = {
        "task": "colour",
        "labels": LABELS,
        "architecture": "mean",
        "input": {"modality": "image", "size": SIZE},
        "temperature": 1.0,
        "decision": {"thresholds": dict.fromkeys(LABELS, 0.5)},
        "embedding_size": 3,
        "heatmap_size": (GRID, GRID),
        "metrics": {"accuracy": {"value": 1.0, "interval": [0.9, 1.0]}},
        "data_digest": "0" * 64,
        "code_version": "test",
        "run_id": None,
        "created": "2026-01-01T00:00:00Z",
    }
    return PackageInfo(**(settings | changes))


def graph(size: int = SIZE, sharpness: float = SHARPNESS) -> bytes:
    """Embedding: mean colour; probabilities: its softmax; heat map: brightness on a 4 × 4 grid."""
    constants = [
        numpy_helper.from_array(np.float32(255), "white"),
        numpy_helper.from_array(np.float32(sharpness), "sharpness"),
        numpy_helper.from_array(np.array([1, 2]), "sides"),
        numpy_helper.from_array(np.array([1]), "channels"),
    ]
    cell = size // GRID
    nodes = [
        helper.make_node("Cast", ["pixels"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["float", "white"], ["unit"]),
        helper.make_node("ReduceMean", ["unit", "sides"], ["embedding"], keepdims=0),
        helper.make_node("Mul", ["embedding", "sharpness"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        helper.make_node("Transpose", ["unit"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node(
            "AveragePool", ["planes"], ["cells"], kernel_shape=[cell, cell], strides=[cell, cell]
        ),
        helper.make_node("ReduceMean", ["cells", "channels"], ["heatmap"], keepdims=0),
    ]
    tensor = helper.make_tensor_value_info
    inputs = [tensor("pixels", TensorProto.UINT8, ["N", size, size, 3])]
    outputs = [
        tensor("probabilities", TensorProto.FLOAT, ["N", 3]),
        tensor("embedding", TensorProto.FLOAT, ["N", 3]),
        tensor("heatmap", TensorProto.FLOAT, ["N", GRID, GRID]),
    ]
    opset = helper.make_opsetid("", 18)
    model = helper.make_model(
        helper.make_graph(nodes, "colour", inputs, outputs, constants), opset_imports=[opset], ir_version=10
    )
    onnx.checker.check_model(model)
    return model.SerializeToString()


def probabilities(pixels: np.ndarray, sharpness: float = SHARPNESS) -> np.ndarray:
    """What the graph answers for uint8 [N, S, S, 3]."""
    powers = np.exp(sharpness * pixels.mean(axis=(1, 2)) / 255)
    return powers / powers.sum(axis=1, keepdims=True)


def make(folder: Path, name: str = "package", sharpness: float = SHARPNESS, **changes) -> Signed:
    """A package ``folder/name``; those in one folder are signed with one key."""
    keys = signing.ensure_key(folder / "keys")
    built = package.build(
        folder / name,
        info(**changes),
        {"model.onnx": graph(sharpness=sharpness), "MODEL_CARD.md": b"# Colour\n", "gate.json": b"{}\n"},
        keys.private,
    )
    return Signed(folder / name, keys.public, built)


def image(colour: tuple[int, int, int], size: int = SIZE, kind: str = "PNG") -> bytes:
    stream = BytesIO()
    Image.new("RGB", (size, size), colour).save(stream, kind)
    return stream.getvalue()

"""Other versions of a package, for a demonstration: one that is as good and one that is slow on purpose."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bonafide.model import package
from bonafide.model.info import MODEL
from bonafide.model.package import INFO, SIGNATURE, SUMS

if TYPE_CHECKING:
    from onnx import ModelProto

WRITTEN = (INFO, MODEL, SIGNATURE, SUMS)
SIDE = 640
OUTPUT = "probabilities"
LARGEST = 65504  # in half precision


def make(
    source: Path, out: Path, key: str | Path, public_key: Path, change: Callable[["ModelProto"], None]
) -> None:
    """Sign a copy of the package whose network was changed.

    Args:
        key: to sign with; ``public_key`` is what ``source`` was signed for.

    Raises:
        PackageError: ``source`` is refused, or the key cannot be used.
    """
    import onnx

    info = package.verify(source, public_key)
    model = onnx.load(source / MODEL)
    change(model)
    others = {path.name: path for path in source.iterdir() if path.name not in WRITTEN}
    package.build(out, info, others | {MODEL: model.SerializeToString()}, key)


def rounded(model: "ModelProto") -> None:
    """Weights in half precision, where they fit into it: answers differ in the third digit."""
    from onnx import TensorProto, numpy_helper

    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            whole = numpy_helper.to_array(tensor)
            halved = whole.clip(-LARGEST, LARGEST).astype(np.float16).astype(np.float32)
            values = np.where(np.abs(whole) <= LARGEST, halved, whole)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def slowed(model: "ModelProto") -> None:
    """The same answers after a product of matrices that nobody needs."""
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph
    producer = next(node for node in graph.node if OUTPUT in node.output)
    producer.output[list(producer.output).index(OUTPUT)] = "slow/answer"
    graph.initializer.extend(
        [
            numpy_helper.from_array(np.full((SIDE, SIDE), 1e-6, np.float32), "slow/useless"),
            numpy_helper.from_array(np.float32(0), "slow/nothing"),
        ]
    )
    graph.node.extend(
        [
            helper.make_node("Cast", [graph.input[0].name], ["slow/as_float"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["slow/as_float"], ["slow/mean"], keepdims=0),
            helper.make_node("Mul", ["slow/useless", "slow/mean"], ["slow/factor"]),
            helper.make_node("MatMul", ["slow/factor", "slow/factor"], ["slow/product"]),
            helper.make_node("ReduceMean", ["slow/product"], ["slow/left"], keepdims=0),
            helper.make_node("Mul", ["slow/left", "slow/nothing"], ["slow/zero"]),
            helper.make_node("Add", ["slow/answer", "slow/zero"], [OUTPUT]),
        ]
    )

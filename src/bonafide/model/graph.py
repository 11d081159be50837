"""From a torch detector to the ONNX graph that is served."""

import logging
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bonafide.errors import PackageError
from bonafide.files import write_bytes
from bonafide.model.architectures import Detector
from bonafide.model.runtime import OUTPUTS

OPSET = 20
TOLERANCE = 1e-4


def to_onnx(detector: Detector, path: Path) -> None:
    """Write the graph: ``pixels`` uint8 [N, S, S, 3] to probabilities, embedding and heatmap.

    The bytes depend on the weights alone: what the exporter notes about source files is removed.
    """
    import onnx
    from onnxscript import optimizer

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    size = detector.input_size
    program = torch.onnx.export(
        detector.eval(),
        (torch.zeros(2, size, size, 3, dtype=torch.uint8),),
        input_names=["pixels"],
        output_names=list(OUTPUTS),
        dynamic_shapes=({0: torch.export.Dim("N")},),
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    model = optimizer.optimize(program.model_proto)
    del model.metadata_props[:]
    model.graph.name, model.producer_version, model.doc_string = "detector", "", ""
    for part in (*model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output):
        del part.metadata_props[:]
        part.doc_string = ""
    for weights in model.graph.initializer:
        del weights.metadata_props[:]
    onnx.checker.check_model(model, full_check=True)
    write_bytes(path, model.SerializeToString(deterministic=True))


def check_parity(served: NDArray[np.float32], trained: NDArray[np.float32]) -> float:
    """The largest difference between the graph's probabilities and torch's, both FP32 [N, K].

    Raises:
        PackageError: it exceeds 1e-4: the served model would not be the one that passed the gate.
    """
    difference = float(np.abs(served - trained).max())
    if not difference <= TOLERANCE:
        raise PackageError(
            f"the exported graph differs from the trained model by {difference:.2g} in a probability "
            f"(allowed: {TOLERANCE:g}); do not ship it, report the architecture and versions"
        )
    return difference

"""From a torch detector to the ONNX graph that is served."""

import logging
import warnings
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bonafide.files import write_bytes
from bonafide.model.architectures import Detector
from bonafide.model.info import ModelInfo
from bonafide.model.parity import TOLERANCE, difference, refuse_difference
from bonafide.model.runtime import OnnxModel

OUTPUTS = ("probabilities", "embedding", "heatmap")
OPSET = 20


def to_onnx(detector: Detector, path: Path) -> None:
    """Write the graph: ``pixels`` uint8 [N, S, S, 3] to probabilities, embedding and heatmap.

    The bytes depend on the weights alone: what the exporter notes about source files is removed.
    """
    import onnx
    from onnxscript import optimizer

    model = optimizer.optimize(_exported(detector).model_proto)
    del model.metadata_props[:]
    model.graph.name, model.producer_version, model.doc_string = "detector", "", ""
    for part in (*model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output):
        del part.metadata_props[:]
        part.doc_string = ""
    for weights in model.graph.initializer:
        del weights.metadata_props[:]
    onnx.checker.check_model(model, full_check=True)
    write_bytes(path, model.SerializeToString(deterministic=True))


def _exported(detector: Detector) -> torch.onnx.ONNXProgram:
    """The exporter's program, without its notes and its warnings that it uses torch's old names."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    size = detector.input_size
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
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
    return program


@torch.inference_mode()
def check_parity(
    folder: Path, info: ModelInfo, detector: Detector, probe: NDArray[np.uint8]
) -> dict[str, float]:
    """Let the graph in ``folder`` and ``detector`` answer ``probe`` uint8 [N, S, S, 3] alike.

    A heat map is that of the most probable label, so images whose two best labels are all but equal are left
    out of its comparison.

    Returns:
        by output the largest difference, relative to its largest absolute value where that exceeds 1.

    Raises:
        PackageError: a difference exceeds 1e-4: the served model would not be the one that was trained.
    """
    served = OnnxModel(folder, info).run(probe, OUTPUTS)
    trained = dict(zip(OUTPUTS, (part.numpy() for part in detector(torch.from_numpy(probe))), strict=True))
    second, first = np.sort(trained["probabilities"], axis=1)[:, -2:].T
    clear = first - second > 2 * TOLERANCE
    found = {name: difference(served[name], trained[name]) for name in OUTPUTS[:-1]}
    found["heatmap"] = difference(served["heatmap"][clear], trained["heatmap"][clear])
    refuse_difference(found)
    return found

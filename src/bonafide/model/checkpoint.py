"""A trained detector as a folder without pickle: weights, the graph that is served, and how it came to be."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bonafide.config import parse
from bonafide.errors import ConfigError, PackageError
from bonafide.files import new_folder, sha256, write_json
from bonafide.model.info import MODEL, ModelInfo
from bonafide.task import AnyModel, Model

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bonafide.model.architectures import Detector

WEIGHTS, INFO = "weights.safetensors", "training.json"


class TrainingInfo(ModelInfo):
    """``training.json``. ``history`` holds one row of metrics an epoch; estimators have no epochs.

    ``parameters`` counts weights, or the nodes of trees.
    """

    model: AnyModel
    seed: int
    parameters: int
    validation_accuracy: float
    best_epoch: int | None = None
    history: tuple[dict[str, float], ...] = ()


def new_detector(labels: tuple[str, ...], model: Model) -> "Detector":
    """A detector with fresh weights."""
    from bonafide.model.architectures import Detector

    return Detector(model.architecture, len(labels), model.input_size, model.dropout)


def save(out: Path, detector: "Detector", info: TrainingInfo, probe: "NDArray[np.uint8]") -> TrainingInfo:
    """Write weights, graph and ``info``, whole or not at all.

    Args:
        probe: uint8 [N, S, S, 3], images that the graph must answer as the detector does.

    Returns:
        ``info`` with the digest of the graph.

    Raises:
        PackageError: the graph answers otherwise.
    """
    from safetensors.torch import save_file

    from bonafide.model.graph import check_parity, to_onnx

    with new_folder(out, INFO) as folder:
        weights = {name: value.contiguous() for name, value in detector.state_dict().items()}
        save_file(weights, folder / WEIGHTS)
        to_onnx(detector, folder / MODEL)
        info = info.model_copy(update={"model_digest": sha256(folder / MODEL)})
        check_parity(folder, info, detector, probe)
        write_json(folder / INFO, info.model_dump(mode="json"))
    return info


def read_info(checkpoint: Path) -> TrainingInfo:
    """How the detector in ``checkpoint`` came to be.

    Raises:
        PackageError: the folder is no checkpoint.
    """
    try:
        content: dict[str, Any] = json.loads((checkpoint / INFO).read_text())
        return parse(TrainingInfo, content, where=str(checkpoint / INFO))
    except (OSError, ValueError, ConfigError) as error:
        raise PackageError(f"{checkpoint} is no trained detector: {error}; train one again") from error


def load(checkpoint: Path) -> "Detector":
    """The detector, ready to evaluate.

    Raises:
        PackageError: the folder is no checkpoint or its weights do not fit its architecture.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    info = read_info(checkpoint)
    if not isinstance(info.model, Model):
        raise PackageError(f"{checkpoint} holds no network but a {info.architecture}")
    detector = new_detector(info.labels, info.model)
    try:
        detector.load_state_dict(load_file(checkpoint / WEIGHTS))
    except (OSError, RuntimeError, SafetensorError) as error:
        raise PackageError(f"{checkpoint / WEIGHTS} does not fit: {error}; train again") from error
    return detector.eval()

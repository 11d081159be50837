"""A trained detector as a folder without pickle: ``weights.safetensors`` beside ``training.json``."""

import json
from pathlib import Path
from typing import Any

from bonafide.errors import ConfigError, PackageError
from bonafide.files import new_folder, write_json
from bonafide.model.architectures import Detector
from bonafide.task import Config, Model, parse

WEIGHTS, INFO = "weights.safetensors", "training.json"


class TrainingInfo(Config):
    """How a detector came to be. ``history`` holds one row of metrics an epoch."""

    labels: tuple[str, ...]
    model: Model
    seed: int
    data_digest: str
    parameters: int
    best_epoch: int
    history: tuple[dict[str, float], ...]
    temperature: float
    thresholds: dict[str, float]
    run_id: str | None


def new_detector(labels: tuple[str, ...], model: Model) -> Detector:
    """A detector with fresh weights."""
    return Detector(model.architecture, len(labels), model.input_size, model.dropout)


def save(out: Path, detector: Detector, info: TrainingInfo) -> None:
    """Write the folder, whole or not at all."""
    from safetensors.torch import save_file

    with new_folder(out, INFO) as folder:
        save_file(
            {name: value.contiguous() for name, value in detector.state_dict().items()}, folder / WEIGHTS
        )
        write_json(folder / INFO, info.model_dump(mode="json"))


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


def load(checkpoint: Path) -> Detector:
    """The detector, ready to evaluate.

    Raises:
        PackageError: the folder is no checkpoint or its weights do not fit its architecture.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    info = read_info(checkpoint)
    detector = new_detector(info.labels, info.model)
    try:
        detector.load_state_dict(load_file(checkpoint / WEIGHTS))
    except (OSError, RuntimeError, SafetensorError) as error:
        raise PackageError(f"{checkpoint / WEIGHTS} does not fit: {error}; train again") from error
    return detector.eval()

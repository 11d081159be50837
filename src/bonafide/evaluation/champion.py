"""The comparison step: the challenger beside the model in service, on the same images."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bonafide.data.dataset import read, read_info
from bonafide.data.decoding import decode_to
from bonafide.evaluation.comparison import Comparison, compare
from bonafide.evaluation.measured import SPLIT, read_predictions
from bonafide.files import write_text
from bonafide.model.package import verify
from bonafide.model.runtime import OnnxModel
from bonafide.task import Evaluation

COMPARISON = "comparison.json"
BATCH = 64


def compare_with_champion(
    evaluation: Path,
    dataset: Path,
    champion: tuple[str, Path] | None,
    public_key: Path,
    out: Path,
    config: Evaluation,
    seed: int,
) -> Comparison:
    """Let the champion answer the challenger's test images and write ``out/comparison.json``.

    Args:
        champion: version and package of the model in service (verified before it is loaded), or None. One
            with other labels cannot be compared, which the gate refuses.

    Raises:
        PackageError: the champion's package does not hold.
    """
    challenger = read_predictions(evaluation)
    version, answers = None, None
    if champion:
        version, package = champion
        model = OnnxModel(package, verify(package, public_key))
        if model.info.labels == read_info(dataset).labels:
            answers = answers_of(model, dataset)
    comparison = compare(
        challenger.truth, challenger.probabilities, answers, version, config.bootstrap_samples, seed
    )
    write_text(out / COMPARISON, comparison.model_dump_json(indent=2) + "\n")
    return comparison


def read_comparison(folder: Path) -> Comparison:
    """Read ``comparison.json`` back."""
    return Comparison.model_validate_json((folder / COMPARISON).read_bytes())


def answers_of(model: OnnxModel, dataset: Path) -> NDArray[np.float32]:
    """A packaged model's probabilities for the test split, FP32 [N, K]."""
    contents = read(dataset, SPLIT, ["image.bytes"])["bytes"]
    answers = []
    for start in range(0, len(contents), BATCH):
        batch = contents[start : start + BATCH].to_pylist()
        pixels = np.stack([decode_to(content, model.info.input_size) for content in batch])
        answers.append(model.run(pixels)["probabilities"])
    return np.concatenate(answers)

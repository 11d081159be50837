"""The compare step: the challenger beside the model in service, on the same images."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bonafide.config import Config, read
from bonafide.data.dataset import read_info
from bonafide.errors import DataError
from bonafide.evaluation import statistics
from bonafide.evaluation.bootstrap import Array, bootstrap
from bonafide.evaluation.evaluate import SPLIT, read_measured, read_predictions
from bonafide.evaluation.intervals import Interval, of_difference
from bonafide.evaluation.measure import check_predictions
from bonafide.files import write_text
from bonafide.modality import arm
from bonafide.model.checkpoint import read_info as read_training
from bonafide.model.decision import label_of
from bonafide.model.latency import Latency, measure_latency
from bonafide.model.package import verify
from bonafide.model.runtime import OnnxModel
from bonafide.task import Evaluation

COMPARISON = "comparison.json"
ONE_MODEL = 1e-4
"""Probabilities that differ by no more on any image are those of one model, up to rounding."""


class Comparison(Config):
    """Differences are challenger minus champion; they are None where there is no champion.

    ``disagreement`` is the share of images on which the two answer with different labels. ``latency`` is
    that of the challenger's graph and ``champion_latency`` that of the champion's, on the same machine.
    ``model_digest`` is of the challenger, ``data_digest`` of the dataset.
    """

    n: int
    model_digest: str = ""
    data_digest: str = ""
    champion: str | None = None
    accuracy_difference: Interval | None = None
    macro_f1_difference: Interval | None = None
    disagreement: float | None = None
    latency: Latency | None = None
    champion_latency: Latency | None = None


def compare(
    checkpoint: Path,
    evaluation: Path,
    dataset: Path,
    champion: tuple[str, Path] | None,
    public_key: Path,
    out: Path,
    config: Evaluation,
    seed: int,
) -> Comparison:
    """Let the champion answer the challenger's test images, time both, and write ``out/comparison.json``.

    Args:
        champion: version and package of the model in service (verified before it is loaded), or None. One
            with other labels, of another modality or with a column that is gone cannot be compared, which the
            gate refuses.

    Raises:
        PackageError: the champion's package does not hold.
        DataError: the evaluation is of another model or other data.
    """
    training, measured, held_out = read_training(checkpoint), read_measured(evaluation), read_info(dataset)
    if (measured.model_digest, measured.data_digest) != (training.model_digest, held_out.digest):
        raise DataError(f"{evaluation} is not of {checkpoint} on {dataset}; evaluate again")
    if training.data_digest != held_out.digest:
        raise DataError(f"{checkpoint} was not trained on {dataset}, whose test split may hold its images")
    challenger = read_predictions(evaluation)
    version, answers, latency = None, None, None
    if champion:
        version, package = champion
        model = OnnxModel(package, verify(package, public_key), threads=1)
        latency = measure_latency(model)
        modality, there = model.info.input.modality, {feature.name for feature in held_out.features}
        alike = (model.info.labels, modality) == (held_out.labels, held_out.modality)
        if alike and there.issuperset(model.info.columns):
            ask = arm(modality, "ask")
            answers = ask(model, dataset, SPLIT, ("probabilities",))["probabilities"]
    found = compare_answers(
        challenger.truth,
        challenger.probabilities,
        answers,
        version,
        challenger.groups,
        config.bootstrap_samples,
        seed,
    )
    comparison = found.model_copy(
        update={
            "model_digest": training.model_digest,
            "data_digest": held_out.digest,
            "latency": measure_latency(OnnxModel(checkpoint, training, threads=1)),
            "champion_latency": latency,
        }
    )
    write_text(out / COMPARISON, comparison.model_dump_json(indent=2) + "\n")
    return comparison


def read_comparison(folder: Path) -> Comparison:
    """Read ``comparison.json`` back.

    Raises:
        DataError: it is not there, or was written by something else.
    """
    return read(Comparison, folder / COMPARISON, "compare")


def compare_answers(
    truth: NDArray[np.int64],
    challenger: NDArray[np.float32],
    champion: NDArray[np.float32] | None,
    champion_version: str | None,
    groups: NDArray[np.int64],
    samples: int,
    seed: int,
) -> Comparison:
    """Compare two models by a paired bootstrap: a resample holds the same groups of images for both.

    Args:
        truth: int64 [N].
        challenger: its probabilities, float32 [N, K].
        champion: its probabilities, float32 [N, K], or None for a first model. If they are the challenger's
            on every image, the two are one model, and the differences are known to be 0.
        champion_version: as the registry names it.
        groups: int64 [N], the group of each image, 0 to G - 1, each at least once.
        samples: bootstrap resamples.
        seed: of the resamples.

    Raises:
        DataError: predictions that cannot be measured (see :mod:`bonafide.evaluation.measure`).
    """
    classes = challenger.shape[1]
    check_predictions(truth, challenger, classes)
    if champion is None:
        return Comparison(n=len(truth), champion=champion_version)
    check_predictions(truth, champion, classes)
    ours, theirs = label_of(challenger), label_of(champion)

    def differences(weights: Array) -> dict[str, Array]:
        new = statistics.confusion(weights, truth, ours, classes)
        old = statistics.confusion(weights, truth, theirs, classes)
        return {
            "accuracy_difference": statistics.accuracy(new) - statistics.accuracy(old),
            "macro_f1_difference": statistics.by_label(new)[2].mean(1) - statistics.by_label(old)[2].mean(1),
        }

    if np.array_equal(ours, theirs) and np.allclose(challenger, champion, rtol=0, atol=ONE_MODEL):
        none = Interval(value=0, low=0, high=0)
        found = {"accuracy_difference": none, "macro_f1_difference": none}
    else:
        needs = {"macro_f1_difference": [truth == label for label in range(classes)]}
        found = bootstrap(differences, groups, samples, seed, of_difference, needs)
    return Comparison(
        n=len(truth), champion=champion_version, disagreement=float(np.mean(ours != theirs)), **found
    )

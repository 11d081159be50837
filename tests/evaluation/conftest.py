from typing import NamedTuple

import numpy as np
import pytest

from bonafide.evaluation.measure import measure
from bonafide.evaluation.metrics import Metrics

LABELS = ("real", "ai-generated", "deepfake")


class Answers(NamedTuple):
    truth: np.ndarray
    probabilities: np.ndarray


def answers(seed: int = 0, n: int = 240, classes: int = 3, skill: float = 1.5, decimals: int = 9) -> Answers:
    """Synthetic predictions; few ``decimals`` make ties."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, n)
    logits = rng.normal(size=(n, classes))
    logits[np.arange(n), truth] += skill
    odds = np.round(np.exp(logits), decimals) + 1e-3
    return Answers(truth, (odds / odds.sum(1, keepdims=True)).astype(np.float32))


@pytest.fixture(scope="session")
def make_answers():
    return answers


@pytest.fixture(scope="session")
def measured() -> Metrics:
    """240 images in 40 groups."""
    truth, probabilities = answers()
    generators = [None if label == 0 else ("seen", "unseen")[i % 2] for i, label in enumerate(truth)]
    return measure(truth, probabilities, LABELS, np.arange(240) % 40, 100, 0, {"generator": generators})

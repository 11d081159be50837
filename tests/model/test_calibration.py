import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax

from bonafide.model.calibration import SPREAD, fit_temperature, operating_thresholds
from bonafide.model.decision import Decision, decide

LABELS = ("real", "ai-generated", "deepfake")


def drawn(seed: int, count: int = 6000, spread: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn from the probabilities that they mean."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, spread, (count, 3))
    below = softmax(logits, axis=1).cumsum(axis=1) < random.random((count, 1))
    return logits.astype(np.float32), below.sum(axis=1)


def nll(logits: np.ndarray, truth: np.ndarray) -> float:
    return -log_softmax(logits, axis=1)[np.arange(len(truth)), truth].mean()


@settings(max_examples=20, deadline=None)
@given(st.floats(0.2, 6), st.integers(0, 1000))
def test_a_known_temperature_is_found_again(temperature, seed):
    logits, truth = drawn(seed)
    assert fit_temperature(logits * np.float32(temperature), truth) == pytest.approx(temperature, rel=0.12)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.2, 6), st.integers(0, 1000))
def test_no_temperature_is_better(temperature, seed):
    logits, truth = drawn(seed, count=200)
    logits = logits * np.float32(temperature)
    fitted = loss(logits, truth, fit_temperature(logits, truth))
    assert all(fitted <= loss(logits, truth, other) + 1e-3 for other in np.geomspace(0.05, 20, 60))


def loss(logits: np.ndarray, truth: np.ndarray, temperature: float) -> float:
    """What is minimised: the likelihood of all answers together, and the prior."""
    return len(truth) * nll(logits / temperature, truth) + (np.log(temperature) / SPREAD) ** 2 / 2


def test_few_answers_without_an_error_are_not_made_as_sure_as_can_be():
    logits = np.float32(np.log([[0.6, 0.2, 0.2], [0.2, 0.6, 0.2], [0.2, 0.2, 0.6]] * 7))
    assert 0.2 < fit_temperature(logits, logits.argmax(axis=1)) < 1


def test_perfect_and_useless_answers_stay_in_bounds():
    truth = np.arange(30) % 3
    perfect = 5 * np.eye(3, dtype=np.float32)[truth]
    assert 0.05 <= fit_temperature(perfect, truth) < 1
    assert 5 < fit_temperature(-perfect, truth) <= 20


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.integers(12, 80), st.floats(0.1, 1))
def test_certain_answers_reach_the_precision_and_no_lower_threshold_would(seed, count, precision):
    logits, _ = drawn(seed, count)
    probabilities = softmax(logits, axis=1).round(2).astype(np.float32)
    truth = np.random.default_rng(seed).permutation(np.arange(count) % 3)
    thresholds = operating_thresholds(probabilities, truth, LABELS, precision)
    assert tuple(thresholds) == LABELS
    decided = decide(probabilities, LABELS, Decision(thresholds=thresholds))
    for number, label in enumerate(LABELS):
        answered = decided.label == number
        right = truth == number
        certain = answered & ~decided.uncertain
        if certain.any() and thresholds[label] < 1:
            assert right[certain].mean() >= precision
        for lower in decided.confidence[answered & (decided.confidence < thresholds[label])]:
            assert right[answered & (decided.confidence >= lower)].mean() < precision


def test_answers_of_two_labels_can_be_uncertain():
    """Thresholds of the highest F1 are at most one half, so that none ever was."""
    fake = np.array([0.05, 0.1, 0.4, 0.6, 0.9, 0.95], np.float32)
    truth = np.array([0, 0, 1, 0, 1, 1])
    shares = np.stack([1 - fake, fake], axis=1)
    thresholds = operating_thresholds(shares, truth, ("real", "fake"), 0.95)
    decided = decide(shares, ("real", "fake"), Decision(thresholds=thresholds))
    assert decided.uncertain.tolist() == [False, False, True, True, False, False]


def test_a_label_that_is_never_answered_is_never_certain():
    shares = np.tile(np.array([0.9, 0.1], np.float32), (4, 1))
    thresholds = operating_thresholds(shares, np.zeros(4, np.int64), ("real", "fake"), 0.95)
    assert thresholds == {"real": pytest.approx(0.9), "fake": 1.0}

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax

from bonafide.model.calibration import fit_temperature, operating_thresholds

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
    fitted = nll(logits / fit_temperature(logits, truth), truth)
    assert all(fitted <= nll(logits / other, truth) + 1e-5 for other in np.geomspace(0.05, 20, 60))


def test_perfect_and_useless_answers_stay_in_bounds():
    truth = np.arange(30) % 3
    perfect = 5 * np.eye(3, dtype=np.float32)[truth]
    assert 0.05 <= fit_temperature(perfect, truth) < 0.5
    assert 19 < fit_temperature(-perfect, truth) <= 20


def best_f1(truth: np.ndarray, scores: np.ndarray) -> float:
    return max(f1(truth, scores, threshold) for threshold in scores)


def f1(truth: np.ndarray, scores: np.ndarray, threshold: float) -> float:
    said = scores >= threshold
    return 2 * (said & truth).sum() / max(said.sum() + truth.sum(), 1)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.integers(12, 80))
def test_thresholds_have_the_highest_f1(seed, count):
    logits, _ = drawn(seed, count)
    probabilities = softmax(logits, axis=1).round(3)
    truth = np.random.default_rng(seed).permutation(np.arange(count) % 3)
    thresholds = operating_thresholds(probabilities, truth, LABELS)
    assert tuple(thresholds) == LABELS
    for number, label in enumerate(LABELS):
        scores = probabilities[:, number].astype(float)
        found = f1(truth == number, scores, thresholds[label] - 1e-6)
        assert found == pytest.approx(best_f1(truth == number, scores))


def test_a_threshold_lets_the_image_it_was_chosen_for_through():
    sure = np.array([0.99996, 0.99997, 0.9, 0.2], np.float32)
    truth = np.array([0, 0, 1, 1])
    thresholds = operating_thresholds(np.stack([sure, 1 - sure], axis=1), truth, ("real", "fake"))
    assert f1(truth == 0, sure, thresholds["real"]) == 1

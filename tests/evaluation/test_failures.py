import numpy as np
import pytest

from bonafide.evaluation.failures import confident_errors, known_failures, representatives
from bonafide.evaluation.measure import measure
from bonafide.evaluation.robustness import Degraded
from bonafide.model.decision import Decision, decide

TRUTH = np.array([0, 0, 0, 1, 1, 1])
FAKE = np.array([0.1, 0.95, 0.6, 0.9, 0.2, 0.7], np.float32)
PROBABILITIES = np.stack([1 - FAKE, FAKE], axis=1)


def decided(fake):
    shares = np.stack([1 - fake, fake], axis=1)
    return decide(shares, ("real", "fake"), Decision(thresholds={"real": 0, "fake": 0}))


def test_confident_errors_come_first():
    assert confident_errors(TRUTH, decided(FAKE), 10).tolist() == [1, 4, 2]
    assert confident_errors(TRUTH, decided(FAKE), 1).tolist() == [1]
    assert confident_errors(TRUTH[:1], decided(FAKE[:1]), 5).tolist() == []


def test_representatives_are_the_right_answers_nearest_the_median_of_their_label():
    truth = np.array([0, 1, 1, 1, 1])
    fake = np.array([0.1, 0.9, 0.7, 0.65, 0.2], np.float32)
    assert representatives(truth, decided(fake), 1).tolist() == [0, 2]
    assert representatives(truth, decided(fake), 5).tolist() == [0, 2, 3, 1]
    assert representatives(truth[-1:], decided(fake[-1:]), 5).tolist() == []


def test_sentences_name_the_worst_of_everything():
    slices = {"generator": [None, None, None, "a", "b", "a"]}
    metrics = measure(TRUTH, PROBABILITIES, ("real", "fake"), np.arange(6), 100, 0, slices)
    blurred = Degraded(name="blur", level=2, accuracy=0.25, n=6)
    sharper = Degraded(name="jpeg", level=75, accuracy=0.4, n=6)
    sentences = known_failures(metrics, [sharper, blurred])
    for expected in (
        "missed most is real: recall 0.333 (too few groups) over 3 images in 3 groups",
        "real taken for fake: 2 times, 67 % of real",
        "weakest generator is b: accuracy 0.000 (too few groups) over 1 image in 1 group",
        "blur σ 2: accuracy falls from 0.500 to 0.250",
        "Images of real are given another label at a rate of 0.667",
        "1 of 3 wrong answers",
    ):
        assert any(expected in sentence for sentence in sentences), expected


@pytest.mark.parametrize("slices", [None, {"generator": [None] * 6}, {"generator": ["a"] * 6}])
def test_nothing_wrong_nothing_said(slices):
    metrics = measure(
        TRUTH, np.eye(2, dtype=np.float32)[TRUTH], ("real", "fake"), np.arange(6), 100, 0, slices
    )
    assert known_failures(metrics, [Degraded(name="blur", level=1, accuracy=1.0, n=6)]) == ()


def test_the_only_value_of_a_slice_is_not_its_weakest():
    slices = {"source": ["one"] * 6, "generator": ["a", "b"] * 3}
    metrics = measure(TRUTH, PROBABILITIES, ("real", "fake"), np.arange(6), 100, 0, slices)
    sentences = " ".join(known_failures(metrics, []))
    assert "The weakest source" not in sentences
    assert "The weakest generator is a" in sentences

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pydantic import ValidationError

from bonafide.model.decision import Decision, decide
from tests import packages

LABELS = ("real", "ai", "deepfake")
DECISION = Decision(thresholds={"deepfake": 0.5, "real": 0.9, "ai": 0.0})


def test_the_most_probable_label_answers_and_the_first_of_equals():
    shares = np.array([[0.1, 0.2, 0.7], [0.5, 0.5, 0], [0.25, 0.25, 0.5]], np.float32)
    found = decide(shares, LABELS, DECISION)
    assert found.label.tolist() == [2, 0, 2]
    assert found.confidence.tolist() == pytest.approx([0.7, 0.5, 0.5])


def test_below_the_threshold_of_its_own_label_an_answer_is_uncertain():
    shares = np.array([[0.89, 0.11, 0], [0.9, 0.1, 0], [0.3, 0.4, 0.3], [0.3, 0.21, 0.49]], np.float32)
    assert decide(shares, LABELS, DECISION).uncertain.tolist() == [True, False, False, True]


@given(arrays.arrays(np.float32, (5, 3), elements=st.floats(0, 1, width=32)))
def test_the_threshold_of_another_label_changes_nothing(shares):
    found = decide(shares, LABELS, DECISION)
    other = decide(shares, LABELS, Decision(thresholds=DECISION.thresholds | {"ai": 1.0}))
    assert np.array_equal(found.label, other.label)
    same = found.label != 1
    assert np.array_equal(found.uncertain[same], other.uncertain[same])


@pytest.mark.parametrize("thresholds", [{}, {"red": 0.5}, {"red": 0.5, "green": 0.5, "blue": 2}])
def test_a_package_carries_a_threshold_for_each_label(thresholds):
    with pytest.raises(ValidationError, match="threshold"):
        packages.info(decision={"thresholds": thresholds})

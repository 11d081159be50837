import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from bonafide.errors import DataError
from bonafide.evaluation.comparison import Comparison, compare


def test_differences_are_challenger_minus_champion(make_answers):
    truth, challenger = make_answers(skill=2.0)
    champion = make_answers(seed=0, skill=1.0).probabilities
    found = compare(truth, challenger, champion, "3", samples=200, seed=0)
    new, old = challenger.argmax(1), champion.argmax(1)
    gained = accuracy_score(truth, new) - accuracy_score(truth, old)
    assert gained > 0
    assert found.accuracy_difference.value == pytest.approx(gained)
    gained = f1_score(truth, new, average="macro") - f1_score(truth, old, average="macro")
    assert found.macro_f1_difference.value == pytest.approx(gained)
    assert found.disagreement == pytest.approx(np.mean(new != old))
    assert (found.champion, found.n) == ("3", len(truth))


def test_a_model_against_itself_differs_by_nothing(make_answers):
    truth, probabilities = make_answers()
    found = compare(truth, probabilities, probabilities, "1", samples=100, seed=0)
    assert found.accuracy_difference.model_dump() == {"value": 0, "low": 0, "high": 0}
    assert found.disagreement == 0


def test_the_bootstrap_is_paired(make_answers):
    """One answer of 240 differs; unpaired resamples would spread by about 0.1."""
    truth, probabilities = make_answers()
    changed = probabilities.copy()
    right = int(np.flatnonzero(probabilities.argmax(1) == truth)[0])
    changed[right] = np.roll(probabilities[right], 1)
    difference = compare(truth, changed, probabilities, "1", samples=200, seed=0).accuracy_difference
    assert difference.value == pytest.approx(-1 / 240)
    assert difference.high - difference.low < 0.02


def test_no_champion(make_answers):
    truth, probabilities = make_answers()
    assert compare(truth, probabilities, None, None, 100, 0) == Comparison(n=len(truth))


def test_a_champion_with_other_labels_is_refused(make_answers):
    truth, probabilities = make_answers()
    with pytest.raises(DataError, match=r"\[240, 2\], expected \[240, 3\]"):
        compare(truth, probabilities, probabilities[:, :2], "1", 100, 0)

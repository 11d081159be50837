import numpy as np
import pytest

from bonafide.evaluation.importance import permutation_importance

NAMES = ("dispensable", "telling")
COLUMNS = np.random.default_rng(0).standard_normal((2000, 2)).astype(np.float32)
TRUTH = (COLUMNS[:, 1] > 0).astype(np.int64)


def by_sign(rows: np.ndarray) -> np.ndarray:
    """Goes by the second column alone."""
    positive = (rows[:, 1] > 0).astype(np.float32)
    return np.stack([1 - positive, positive], axis=1)


def test_a_column_that_decides_costs_what_guessing_does_and_another_nothing():
    first, last = permutation_importance(by_sign, COLUMNS, NAMES, TRUTH, 0)
    assert (first.column, last.column) == ("telling", "dispensable")
    assert first.lost == pytest.approx(0.5, abs=0.03)
    assert 0 < first.spread < 0.03
    assert (last.lost, last.spread) == (0, 0)


def test_a_seed_gives_the_same_figures():
    columns = COLUMNS.copy()
    same, again, other = (permutation_importance(by_sign, columns, NAMES, TRUTH, seed) for seed in (1, 1, 2))
    assert same == again != other
    assert np.array_equal(columns, COLUMNS)


def test_scikit_learn_says_the_same():
    from sklearn.datasets import load_iris
    from sklearn.inspection import permutation_importance as authority
    from sklearn.linear_model import LogisticRegression

    columns, truth = load_iris(return_X_y=True)
    model = LogisticRegression(max_iter=1000).fit(columns, truth)
    expected = authority(model, columns, truth, n_repeats=200, random_state=0).importances_mean
    found = permutation_importance(model.predict_proba, columns, "0123", truth, 0)
    for each in found:
        assert each.lost == pytest.approx(expected[int(each.column)], abs=4 * each.spread / 10**0.5 + 0.005)

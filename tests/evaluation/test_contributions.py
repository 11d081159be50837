from itertools import permutations

import numpy as np
import pytest

from bonafide.evaluation.contributions import Case, contributions

RANDOM = np.random.default_rng(0)
BACKGROUND = RANDOM.standard_normal((20, 4)).astype(np.float32)
ROW = np.float32([1, -2, 0.5, 3])


def product(rows: np.ndarray) -> np.ndarray:
    """The last column counts for nothing."""
    return rows[:, 0] * rows[:, 1] + rows[:, 2]


def by_orders(score) -> np.ndarray:
    """The definition: what a column adds when it becomes known, on average over all orders."""
    found = np.zeros(len(ROW))
    orders = list(permutations(range(len(ROW))))
    for order in orders:
        rows = BACKGROUND.copy()
        for column in order:
            before = score(rows).mean(dtype=np.float64)
            rows[:, column] = ROW[column]
            found[column] += score(rows).mean(dtype=np.float64) - before
    return found / len(orders)


def test_they_are_shapley_s_values():
    found = contributions(product, ROW, BACKGROUND)
    assert found == pytest.approx(by_orders(product), abs=1e-5)
    assert found[3] == 0
    assert found.sum() == pytest.approx(product(ROW[None])[0] - product(BACKGROUND).mean(), abs=1e-5)


def test_of_a_sum_each_column_adds_its_own():
    found = contributions(lambda rows: rows.sum(axis=1), ROW, BACKGROUND)
    assert found == pytest.approx(ROW - BACKGROUND.mean(axis=0), abs=1e-5)


def test_a_case_knows_whether_it_is_right():
    assert Case({}, {}, "a", "a", 0.9).correct
    assert not Case({}, {}, "a", "b", 0.9).correct

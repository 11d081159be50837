import numpy as np
import pytest

from bonafide.evaluation.rates import rated, rates, values_of


def test_shares_are_weighted_and_undefined_where_nothing_is_asked():
    truth, predicted = np.array([0, 1, 1, 2]), np.array([0, 1, 2, 0])
    slices = {"source": ["a", "a", None, "b"]}
    weights = np.array([[1, 1, 1, 1], [0, 1, 3, 0]], float)
    found = rated(weights, rates(truth, predicted, ("real", "ai", "deepfake"), slices))
    expected = {
        ("binary", "accuracy"): [0.75, 1],
        ("binary", "true_positive_rate"): [2 / 3, 1],
        ("binary", "false_positive_rate"): [0, np.nan],
        ("slice", "source", "a", "accuracy"): [1, 1],
        ("slice", "source", "b", "accuracy"): [0, np.nan],
        ("slice", "source", "a", "recall", "ai"): [1, 1],
        ("slice", "source", "b", "recall", "deepfake"): [0, np.nan],
    }
    for key, values in expected.items():
        assert found[key] == pytest.approx(values, nan_ok=True), key
    assert ("slice", "source", "b", "recall", "ai") not in found


def test_values():
    assert values_of(["b", None, "a", "b"]) == ["a", "b"]

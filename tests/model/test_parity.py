import numpy as np
import pytest

from bonafide.errors import PackageError
from bonafide.model.parity import difference, refuse_difference


def test_a_difference_is_relative_where_values_are_large():
    assert difference(np.float32([0.5]), np.float32([0.25])) == 0.25
    assert difference(np.float32([150, 0]), np.float32([100, 0])) == 0.5
    assert difference(np.float32([]), np.float32([])) == 0
    assert difference(np.float32([np.nan]), np.float32([0])) == np.inf


def test_the_output_that_differs_most_is_named():
    refuse_difference({"probabilities": 1e-4, "embedding": 0})
    with pytest.raises(PackageError, match=r"by 0\.5 in embedding \(allowed: 0\.0001\)"):
        refuse_difference({"probabilities": 2e-4, "embedding": 0.5})

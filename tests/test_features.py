import pytest
from pydantic import ValidationError

from bonafide.features import Feature


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, "width"),
        ({"unit": "cm", "low": 0.1, "high": 10}, "width (cm, 0.1 to 10)"),
        ({"low": 0, "whole": True}, "width (0 or more, whole)"),
        ({"high": 5}, "width (5 or less)"),
    ],
)
def test_a_feature_is_told(settings, told):
    assert Feature(name="width", **settings).told == told


def test_a_column_is_not_called_what_all_of_them_are():
    with pytest.raises(ValidationError, match="cannot be called 'columns'"):
        Feature(name="columns")


@pytest.mark.parametrize("bound", [1e39, -1e39])
def test_a_bound_fits_into_32_bits(bound):
    with pytest.raises(ValidationError):
        Feature(name="width", **{"high" if bound > 0 else "low": bound})

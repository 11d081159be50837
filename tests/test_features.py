import pytest

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

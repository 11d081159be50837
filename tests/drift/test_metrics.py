from bonafide.drift.judge import LOOKS, MIX
from bonafide.feedback.inspections import DETECTORS


def test_gauges_are_taken_away_for_each_detector_that_decides():
    assert {*LOOKS, MIX} == DETECTORS

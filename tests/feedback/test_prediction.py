import math

import numpy as np
import pytest

from bonafide.feedback.prediction import decode, encode
from tests.feedback.conftest import prediction


@pytest.mark.parametrize(
    "changes", [{}, {"embedding": None, "sha256": None, "statistics": {}}, {"label": "ä\n"}]
)
def test_a_line_is_read_as_it_was_written(changes):
    given = prediction(3, **changes)
    line = encode(given)
    assert b"\n" not in line
    assert decode(line) == given


def test_numbers_that_are_none_and_numpys_own_can_be_written():
    given = prediction(probabilities={"real": math.nan, "fake": np.float32(0.5)}, latency_ms=math.inf)
    read = decode(encode(given))
    assert (read.probabilities, read.latency_ms) == ({"real": None, "fake": 0.5}, None)


@pytest.mark.parametrize("line", [b"", b"{}", b"[]", b"\0" * 10, b'{"time": 1}', encode(prediction())[:-9]])
def test_what_is_no_line_is_refused(line):
    with pytest.raises(ValueError):
        decode(line)

import numpy as np
import pytest

from bonafide.errors import DataError
from bonafide.evaluation.predictions import check_predictions


def test_good_predictions_pass(make_answers):
    check_predictions(*make_answers(), 3)


@pytest.mark.parametrize(
    ("truth", "probabilities", "says"),
    [
        ([], np.empty((0, 2)), "no images"),
        ([0, 1], np.ones((2, 3)), r"\[2, 3\], expected \[2, 2\]"),
        ([0, 2], np.ones((2, 2)), "run from 0 to 2"),
        ([-1, 1], np.ones((2, 2)), "run from -1"),
        ([0, 1], np.array([[0.5, 0.5], [np.nan, 0.5]]), "of 1 of 2 images are not finite"),
    ],
)
def test_predictions_that_cannot_be_measured(truth, probabilities, says):
    with pytest.raises(DataError, match=says):
        check_predictions(np.array(truth, np.int64), probabilities.astype(np.float32), 2)

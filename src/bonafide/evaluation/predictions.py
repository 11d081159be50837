"""What predictions must look like before anything is measured."""

import numpy as np
from numpy.typing import NDArray

from bonafide.errors import DataError


def check_predictions(truth: NDArray[np.int64], probabilities: NDArray[np.float32], classes: int) -> None:
    """Refuse predictions that cannot be measured.

    Args:
        truth: int64 [N].
        probabilities: float32 [N, K].
        classes: K.

    Raises:
        DataError: no images, shapes that do not match, a label index out of range or a probability
            that is not a finite number.
    """
    if not len(truth):
        raise DataError("no images to measure: the split is empty; give it more groups")
    if probabilities.shape != (len(truth), classes):
        raise DataError(
            f"probabilities are {list(probabilities.shape)}, expected {[len(truth), classes]}: "
            "one row an image, one column a label"
        )
    if truth.min() < 0 or truth.max() >= classes:
        raise DataError(f"labels run from {truth.min()} to {truth.max()}; the task has 0 to {classes - 1}")
    if broken := int((~np.isfinite(probabilities)).any(1).sum()):
        raise DataError(
            f"probabilities of {broken} of {len(truth)} images are not finite: the training diverged; "
            "lower model.learning_rate"
        )

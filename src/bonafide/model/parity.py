"""The graph that is served answers as the model that was trained."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bonafide.errors import PackageError

TOLERANCE = 1e-4


def difference(served: NDArray[np.float32], trained: NDArray[np.float32]) -> float:
    """The largest difference, relative to the largest absolute value where that exceeds 1."""
    scale = max(1.0, float(np.abs(trained).max(initial=0)))
    found = float(np.abs(served - trained).max(initial=0)) / scale
    return found if np.isfinite(found) else np.inf


def refuse_difference(found: Mapping[str, float]) -> None:
    """Refuse a graph by the :func:`difference` of each of its outputs.

    Raises:
        PackageError: one exceeds 1e-4: the served model would not be the one that was trained.
    """
    worst = max(found, key=found.__getitem__)
    if not found[worst] <= TOLERANCE:
        raise PackageError(
            f"the exported graph differs from the trained model by {found[worst]:.2g} in {worst} "
            f"(allowed: {TOLERANCE:g}); do not ship it, report the architecture and versions"
        )

"""The detectors, for their own environment: ``python -I detectors.py ARRAYS.npz CHECKS.json FOUND.json``.

:mod:`bonafide.drift.environment` starts it. It imports nothing of Bonafide, which cannot live there. A check
names its ``test`` and two arrays; what is found of it are ``p``, a p-value for each column, and ``distance``.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from alibi_detect.cd import ChiSquareDrift, ClassifierUncertaintyDrift, KSDrift, MMDDrift
from alibi_detect.utils._random import set_seed

Array = np.ndarray


def mmd(reference: Array, window: Array, permutations: int) -> tuple[Any, Any]:
    """Maximum mean discrepancy of rows, by permutations.

    The discrepancy and the width of its kernel are MMDDrift's, which copies the kernel's matrix for each
    permutation; here all of them are one product of matrices. The arrangement at hand counts as one of them:
    without it a p-value of 0 would come up too often.
    """
    detector = MMDDrift(reference, backend="pytorch", n_permutations=1, device="cpu")
    found = detector.predict(window)["data"]["distance"]
    kernel = gaussian(np.concatenate([reference, window]), float(detector._detector.kernel.sigma))
    return [permuted(kernel, len(window), permutations)], [found]


def gaussian(rows: Array, width: float) -> Array:
    """The kernel's matrix [N, N] with a diagonal of 0, which no discrepancy counts."""
    squares = (rows**2).sum(1)
    kernel: Array = np.exp(-np.maximum(squares[:, None] + squares - 2 * rows @ rows.T, 0) / (2 * width**2))
    np.fill_diagonal(kernel, 0)
    return kernel


def permuted(kernel: Array, count: int, permutations: int) -> float:
    """The share of permutations, the last ``count`` rows as they are among them, that are as far apart."""
    rows = len(kernel)
    chosen = np.zeros((1 + permutations, rows), kernel.dtype)
    chosen[0, -count:] = 1
    for each in chosen[1:]:
        each[np.random.permutation(rows)[:count]] = 1
    all_pairs, pairs = kernel.sum(1, dtype=np.float64), (chosen * (chosen @ kernel)).sum(1, dtype=np.float64)
    crossing = chosen @ all_pairs - pairs
    others = all_pairs.sum() - 2 * crossing - pairs
    rest = rows - count
    far = others / (rest * (rest - 1)) + pairs / (count * (count - 1)) - 2 * crossing / (rest * count)
    return float((far >= far[0]).mean())


def ks(reference: Array, window: Array) -> tuple[Any, Any]:
    """Kolmogorov and Smirnov's test of each column; not corrected for their number."""
    data = KSDrift(reference).predict(window, drift_type="feature")["data"]
    return data["p_val"], data["distance"]


def chi_square(reference: Array, window: Array) -> tuple[Any, Any]:
    """Counts of categories, integers [N, 1]."""
    data = ChiSquareDrift(reference).predict(window)["data"]
    return data["p_val"], data["distance"]


def uncertainty(reference: Array, window: Array) -> tuple[Any, Any]:
    """Kolmogorov and Smirnov's test of the entropies of probabilities."""
    data = ClassifierUncertaintyDrift(reference, model=lambda known: known, preds_type="probs").predict(
        window
    )
    return data["data"]["p_val"], data["data"]["distance"]


TESTS: dict[str, Callable[..., tuple[Any, Any]]] = {
    "mmd": mmd,
    "ks": ks,
    "chi-square": chi_square,
    "uncertainty": uncertainty,
}


def main(arrays: str, checks: str, found: str) -> None:
    """Do each check with its own seed, so that none depends on those before it."""
    results = {}
    with np.load(arrays, allow_pickle=False) as given:
        for name, check in json.loads(Path(checks).read_text()).items():
            set_seed(check["seed"])
            pair = given[check["reference"]], given[check["window"]]
            p, distance = TESTS[check["test"]](*pair, **check["options"])
            results[name] = {
                "p": np.ravel(p).astype(float).tolist(),
                "distance": np.ravel(distance).astype(float).tolist(),
            }
    Path(found).write_text(json.dumps(results))


if __name__ == "__main__":
    main(*sys.argv[1:])

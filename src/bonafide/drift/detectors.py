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

    The arrangement at hand counts as one of them: without it a p-value of 0 would come up too often.
    """
    detector = MMDDrift(reference, backend="pytorch", n_permutations=permutations, device="cpu")
    data = detector.predict(window)["data"]
    return [(1 + permutations * data["p_val"]) / (1 + permutations)], [data["distance"]]


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

"""How often the gate's comparison promotes a challenger whose true accuracy is known."""

from collections.abc import Callable
from itertools import product

import numpy as np

from bonafide.evaluation.bootstrap import Array, bootstrap
from bonafide.evaluation.intervals import of_difference

SETS = ((12, 75), (30, 100), (100, 100))
CHANGES, MARGINS = (-0.01, 0.0, 0.01), (0.01, 0.02)
DISCORDANT, RESAMPLES = 0.08, 100
FINDINGS = tuple(product(CHANGES, MARGINS))


def simulate(
    groups: int,
    images: int,
    test_sets: int,
    rng: np.random.Generator,
    advance: Callable[[], None] = lambda: None,
) -> dict[tuple[float, float], float]:
    """The share of test sets that promote, by true change of accuracy and by margin.

    Args:
        groups: in a test set.
        images: in a group; each image is independent of the others.
    """
    of_images = np.repeat(np.arange(groups), images)
    lows: dict[float, list[float]] = {change: [] for change in CHANGES}
    for seed, change in product(range(test_sets), CHANGES):
        lows[change].append(_low(change, of_images, rng, seed))
        advance()
    return {
        (change, margin): float(np.mean(np.array(lows[change]) >= -margin)) for change, margin in FINDINGS
    }


def _low(change: float, groups: np.ndarray, rng: np.random.Generator, seed: int) -> float:
    gained, lost = (DISCORDANT + change) / 2, (DISCORDANT - change) / 2
    each = rng.choice([1.0, -1.0, 0.0], len(groups), p=[gained, lost, 1 - DISCORDANT])

    def difference(weights: Array) -> dict[str, Array]:
        return {"difference": (weights @ each) / weights.sum(1)}

    return bootstrap(difference, groups, RESAMPLES, seed, of_difference)["difference"].low


def table(found: dict[tuple[int, int], dict[tuple[float, float], float]]) -> str:
    """One row for each size of the test set and each margin."""
    lines = [
        "| Groups | Images | Margin | a point worse | as good | a point better |",
        "|---:|---:|---:|---:|---:|---:|",
    ]
    for (groups, images), margin in product(found, MARGINS):
        cells = " | ".join(f"{100 * found[groups, images][change, margin]:.0f} %" for change in CHANGES)
        lines.append(f"| {groups} | {groups * images:,} | {margin:g} | {cells} |")
    return "\n".join(lines)

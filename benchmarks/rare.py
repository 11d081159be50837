"""Simulated test sets in which a group seldom fails, but then whole: what no other group tells of."""

from collections.abc import Callable

import numpy as np

from bonafide.evaluation import statistics
from bonafide.evaluation.bootstrap import Array, bootstrap
from bonafide.evaluation.intervals import Basis, Interval, of_difference, of_share

GROUPS, IMAGES_A_GROUP, FAILING, STRAY = (8, 12, 30, 100), 60, 0.02, 0.002
ACCURACY = (1 - FAILING) * (1 - STRAY)
RESAMPLES, MARGIN = 100, 0.01
FINDINGS = (
    "none wrong",
    "accuracy",
    "macro F1",
    "difference",
    "promoted",
    "difference by groups",
    "promoted by groups",
)


def simulate(
    groups: int, test_sets: int, rng: np.random.Generator, advance: Callable[[], None] = lambda: None
) -> dict[str, float]:
    """How often intervals hold the truth, and how often a challenger that is this much worse is promoted."""
    rows = []
    for seed in range(test_sets):
        rows.append(_one(groups, rng, seed))
        advance()
    return {name: float(np.mean([row[name] for row in rows])) for name in FINDINGS}


def _one(count: int, rng: np.random.Generator, seed: int) -> dict[str, bool]:
    groups = np.repeat(np.arange(count), IMAGES_A_GROUP)
    labels = np.arange(len(groups)) % 2
    right = (rng.random(count) >= FAILING)[groups] & (rng.random(len(groups)) >= STRAY)
    predicted = np.where(right, labels, 1 - labels)

    def shares(weights: Array) -> dict[str, Array]:
        counts = statistics.confusion(weights, labels, predicted, 2)
        return {"accuracy": statistics.accuracy(counts), "macro F1": statistics.by_label(counts)[2].mean(1)}

    def change(weights: Array) -> dict[str, Array]:
        """Against a champion that is right on every image."""
        return {"difference": (weights @ (right - 1.0)) / weights.sum(1)}

    outcome = right, np.ones(len(groups), bool)
    found = bootstrap(
        shares, groups, RESAMPLES, seed, of_share, outcomes={"accuracy": outcome, "macro F1": outcome}
    )
    difference, by_groups = (
        bootstrap(change, groups, RESAMPLES, seed, method)["difference"]
        for method in (of_difference, _groups_count)
    )
    return {
        "none wrong": bool(right.all()),
        **{name: each.low <= ACCURACY <= each.high for name, each in found.items()},
        "difference": _holds(difference),
        "promoted": difference.low >= -MARGIN,
        "difference by groups": _holds(by_groups),
        "promoted by groups": by_groups.low >= -MARGIN,
    }


def _groups_count(value: float, variance: float, basis: Basis) -> Interval:
    """The interval of a difference if each effective group, not each image, counted where none differs."""
    if variance > 0:
        return of_difference(value, variance, basis)
    reach = 1 - 0.025 ** (1 / basis.effective)
    return Interval(value=value, low=value - reach, high=value + reach)


def _holds(difference: Interval) -> bool:
    return difference.low <= ACCURACY - 1 <= difference.high


def table(found: dict[int, dict[str, float]]) -> str:
    """One row for each number of groups."""
    lines = ["| Groups | " + " | ".join(HEADS) + " |", "|---:|" + "---:|" * len(HEADS)]
    for groups, findings in found.items():
        cells = " | ".join(f"{100 * findings[name]:.0f} %" for name in FINDINGS)
        lines.append(f"| {groups} | {cells} |")
    return "\n".join(lines)


HEADS = (
    "no image wrong",
    "accuracy",
    "macro F1",
    "difference",
    "promoted",
    "difference, if groups counted",
    "promoted, if groups counted",
)

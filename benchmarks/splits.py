"""How far splits move when data grow, and how even they are: Bonafide's and scikit-learn's.

Groups have 1 to 40 images of three labels. scikit-learn's ``StratifiedGroupKFold`` makes 20 folds, of which 5
are test and 3 val, as 25 % and 15 % ask for. Writes docs/benchmarks/splits.md.
"""

from collections.abc import Callable
from pathlib import Path
from statistics import mean

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from bonafide.data.placement import Rows, assign

PAGE = Path("docs/benchmarks/splits.md")
FRACTIONS = {"train": 0.6, "val": 0.15, "test": 0.25}
SEEDS = range(5)
START, ADDED = 1_000, (20, 100, 1_000)
SIZES = (30, 60, 100, 1_000, 10_000)
LABELS, LARGEST, FOLDS = 3, 40, 20

Counts = NDArray[np.int64]
Places = NDArray[np.str_]
Method = Callable[[Counts, int], Places]


def main() -> None:
    """Measure both methods and write the page."""
    methods = {"Bonafide": _bonafide, "StratifiedGroupKFold": _peer}
    stability = [_stability(name, method, added) for added in ADDED for name, method in methods.items()]
    balance = [_balance(name, method, groups) for groups in SIZES for name, method in methods.items()]
    PAGE.write_text(TEMPLATE.format(stability="\n".join(stability), balance="\n".join(balance)))
    print(f"wrote {PAGE}")


def _groups(count: int, seed: int) -> Counts:
    """Images of each label in each group, int64 [count, 3]; the first groups are the same for any count."""
    random = np.random.default_rng(seed)
    return np.array([_group(random) for _ in range(count)])


def _group(random: np.random.Generator) -> Counts:
    shares = random.dirichlet(np.ones(LABELS))
    return random.multinomial(int(random.integers(1, LARGEST, endpoint=True)), shares)


def _bonafide(counts: Counts, seed: int) -> Places:
    names = [f"group-{number}" for number in range(len(counts))]
    rows = Rows(names, {}, [None] * len(names), [False] * len(names))
    return np.array(assign(rows, FRACTIONS, seed, {}).splits)


def _peer(counts: Counts, seed: int) -> Places:
    groups = np.repeat(np.arange(len(counts)), counts.sum(axis=1))
    labels = np.concatenate([np.repeat(np.arange(LABELS), of_group) for of_group in counts])
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed).split(labels, labels, groups)
    parts = np.repeat(["test", "val", "train"], [5, 3, 12])
    places = np.empty(len(counts), dtype=parts.dtype)
    for part, (_, members) in zip(parts, folds, strict=True):
        places[groups[members]] = part
    return places


def _stability(name: str, method: Method, added: int) -> str:
    moved, leaked = [], []
    for seed in SEEDS:
        counts = _groups(START + added, seed)
        before, after = method(counts[:START], seed), method(counts, seed)
        images = counts.sum(axis=1)
        trained = np.concatenate([before == "train", np.zeros(added, dtype=bool)])
        moved.append(np.mean(before != after[:START]))
        leaked.append(images[trained & (after == "test")].sum() / images[after == "test"].sum())
    return f"| {START:,} + {added:,} | {name} | {mean(moved):.1%} | {mean(leaked):.1%} |"


def _balance(name: str, method: Method, groups: int) -> str:
    deviations, bounds = [], []
    for seed in SEEDS:
        counts = _groups(groups, seed)
        places = method(counts, seed)
        effective = counts.sum(axis=0) ** 2 / (counts**2).sum(axis=0)
        for split, wanted in FRACTIONS.items():
            shares = counts[places == split].sum(axis=0) / counts.sum(axis=0)
            deviations.append(np.abs(shares - wanted))
            bounds.append(np.sqrt(wanted * (1 - wanted) / effective))
    worst = f"{np.max(np.array(deviations) / np.array(bounds)):.1f}" if name == "Bonafide" else ""
    return f"| {groups:,} | {name} | {np.mean(deviations):.2%} | {np.max(deviations):.2%} | {worst} |"


TEMPLATE = f"""# Splits that stay

Written by `make bench-splits`. Groups have 1 to {LARGEST} images of {LABELS} labels; {len(SEEDS)} seeds each.
Wanted are 60 % train, 15 % val and 25 % test. The peer is scikit-learn's `StratifiedGroupKFold` with
{FOLDS} folds, which balances labels as well as it can. Nothing is inherited here: both methods see the grown
data alone.

## What moves when groups are added

| Groups | Method | Old groups that changed split | Images of the new test set from old training groups |
|---|---|---|---|
{{stability}}

A model that is compared on images that it was trained on looks better than it is, so the last column has to
be 0. The greedy method that Bonafide had before is not measured here: with 20 images added to 1,000, 55 % of
its new test set came from training data.

## What that costs in balance

How far the share of a label's images in a split is from the wanted share, in percentage points of that label.

| Groups | Method | Mean deviation | Worst deviation | Worst in standard deviations |
|---|---|---|---|---|
{{balance}}

A hash places each group by itself, so with few groups shares are uneven. The
[theory](../decisions/0015-stable-splits.md) gives the standard deviation of a share; five of them are the
stated bound.
"""


if __name__ == "__main__":
    main()

"""How often a 95 % interval holds the truth, by simulation, against other bootstraps on the same data.

Every simulated test set has a known truth: each group draws its own accuracy from a beta distribution around
it, each image is right with its group's accuracy. Writes docs/benchmarks/intervals.md.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks import power, rare
from bonafide.evaluation import statistics
from bonafide.evaluation.bootstrap import Array, bootstrap
from bonafide.evaluation.intervals import Interval, of_difference, of_share
from bonafide.files import write_text
from bonafide.progress import progress

PAGE = Path("docs/benchmarks/intervals.md")
GROUPS, SIZES, CORRELATIONS, TRUTHS = (5, 8, 12, 30, 100), ("equal", "unequal"), (0.0, 0.1, 0.3), (0.8, 0.95)
IMAGES_A_GROUP, TEST_SETS, RESAMPLES = 20, 300, 100
OURS = ("accuracy", "macro F1", "AUROC", "difference")
PEERS = ("expanded", "percentile", "images")
FINDINGS = (*OURS, *PEERS, "width")


@dataclass(frozen=True)
class Setting:
    """One kind of test set: a row of the tables, at one accuracy."""

    groups: int
    sizes: str
    correlation: float
    truth: float

    @property
    def images(self) -> NDArray[np.int64]:
        """The number of images of each group, int64 [G]; unequal ones fall as 1, 1/2, 1/3, …"""
        if self.sizes == "equal":
            return np.full(self.groups, IMAGES_A_GROUP)
        parts = 1 / np.arange(1, self.groups + 1)
        return np.maximum(2, np.round(parts / parts.sum() * self.groups * IMAGES_A_GROUP)).astype(np.int64)


def main() -> None:
    """Simulate every setting and write the page."""
    settings = [Setting(*each) for each in product(GROUPS, SIZES, CORRELATIONS, TRUTHS)]
    found, seldom, promoted = {}, {}, {}
    rows = len(settings) + len(rare.GROUPS) + len(power.SETS) * len(power.CHANGES)
    with progress("simulated test sets", rows * TEST_SETS) as advance:
        for number, setting in enumerate(settings):
            found[setting] = simulate(setting, TEST_SETS, np.random.default_rng(number), advance)
        for groups in rare.GROUPS:
            seldom[groups] = rare.simulate(groups, TEST_SETS, np.random.default_rng(groups), advance)
        for size in power.SETS:
            promoted[size] = power.simulate(*size, TEST_SETS, np.random.default_rng(size), advance)
    write_text(PAGE, page(found, seldom, promoted))


def simulate(
    setting: Setting, test_sets: int, rng: np.random.Generator, advance: Callable[[], None] = lambda: None
) -> dict[str, float]:
    """The share of intervals that hold the truth, by measure and by method, and the mean width of ours."""
    rows = []
    for seed in range(test_sets):
        rows.append(_one(setting, rng, seed))
        advance()
    return {name: float(np.mean([row[name] for row in rows])) for name in FINDINGS}


def _one(setting: Setting, rng: np.random.Generator, seed: int) -> dict[str, float]:
    sizes, truth = setting.images, setting.truth
    groups = np.repeat(np.arange(setting.groups), sizes)
    labels = np.arange(len(groups)) % 2
    right, champion = _answers(setting, groups, rng), _answers(setting, groups, rng)
    predicted = np.where(right, labels, 1 - labels)
    # A right answer's score is on its label's side of 0.5, so accuracy, macro F1 and AUROC expect the same.
    score = (predicted + rng.random(len(groups))) / 2

    def measures(weights: Array) -> dict[str, Array]:
        counts = statistics.confusion(weights, labels, predicted, 2)
        return {
            "accuracy": statistics.accuracy(counts),
            "macro F1": statistics.by_label(counts)[2].mean(1),
            "AUROC": statistics.ranking(weights, labels == 1, score)[0],
        }

    def difference(weights: Array) -> dict[str, Array]:
        return {"difference": (weights @ (right * 1.0 - champion)) / weights.sum(1)}

    outcome = right, np.ones(len(groups), bool)
    counted = {"accuracy": outcome, "macro F1": outcome}
    shares = bootstrap(measures, groups, RESAMPLES, seed, of_share, outcomes=counted)
    change = bootstrap(difference, groups, RESAMPLES, seed, of_difference)["difference"]
    peers = {name: low <= truth <= high for name, (low, high) in _peers(right, groups, rng)}
    ours = {name: _holds(each, truth) for name, each in shares.items()}
    width = shares["accuracy"].high - shares["accuracy"].low
    return {**ours, **peers, "difference": _holds(change, 0), "width": width}


def _holds(interval: Interval, truth: float) -> float:
    """1 or 0, and NaN where there is no interval."""
    return float(interval.low <= truth <= interval.high) if interval.ends else math.nan


def _answers(setting: Setting, groups: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.bool_]:
    accuracy = np.full(setting.groups, setting.truth)
    if setting.correlation:
        images = 1 / setting.correlation - 1
        accuracy = rng.beta(setting.truth * images, (1 - setting.truth) * images, setting.groups)
    return rng.random(len(groups)) < accuracy[groups]


def _peers(
    right: NDArray[np.bool_], groups: NDArray[np.int64], rng: np.random.Generator
) -> Iterator[tuple[str, tuple[float, float]]]:
    """Intervals of the accuracy by quantiles of 1,000 resamples, of groups and of images."""
    sizes, hits = np.bincount(groups), np.bincount(groups, weights=right)
    count = len(sizes)
    times = rng.multinomial(count, np.full(count, 1 / count), 1000)
    replicates = (times @ hits) / (times @ sizes)
    level = stats.norm.cdf(-np.sqrt(count / (count - 1)) * stats.t.ppf(0.975, count - 1))
    yield "expanded", tuple(np.quantile(replicates, [level, 1 - level]))
    yield "percentile", tuple(np.quantile(replicates, [0.025, 0.975]))
    of_images = rng.binomial(len(right), right.mean(), 1000) / len(right)
    yield "images", tuple(np.quantile(of_images, [0.025, 0.975]))


def page(
    found: dict[Setting, dict[str, float]],
    seldom: dict[int, dict[str, float]],
    promoted: dict[tuple[int, int], dict[tuple[float, float], float]],
) -> str:
    """The page for these findings.

    Args:
        found: of :func:`simulate`, by setting.
        seldom: of :func:`benchmarks.rare.simulate`, by the number of groups.
        promoted: of :func:`benchmarks.power.simulate`, by groups and images a group.
    """
    ours = [each[name] for each in found.values() for name in OURS]
    shares = [each[name] for each in seldom.values() for name in ("accuracy", "macro F1")]
    of_images = [each["images"] for setting, each in found.items() if setting.correlation]
    return TEMPLATE.format(
        test_sets=TEST_SETS,
        resamples=RESAMPLES,
        images=IMAGES_A_GROUP,
        error=f"{100 * np.sqrt(0.95 * 0.05 / TEST_SETS):.1f} %",
        lowest=_percent(float(np.nanmin(ours))),
        rare_lowest=_percent(min(shares)),
        rare_difference=_percent(min(each["difference"] for each in seldom.values())),
        median=_percent(float(np.nanmedian(ours))),
        images_lowest=_percent(min(of_images)),
        images_highest=_percent(max(of_images)),
        methods=_tables(found, "accuracy", ("accuracy", *PEERS, "width")),
        measures=_tables(found, "accuracy, macro F1 and AUROC", ("macro F1", "AUROC", "difference")),
        seldom=rare.table(seldom),
        failing=f"{100 * rare.FAILING:g} %",
        stray=f"{100 * rare.STRAY:g} %",
        rare_images=rare.IMAGES_A_GROUP,
        rare_loss=f"{100 * (1 - rare.ACCURACY):.1f}",
        rare_margin=f"{rare.MARGIN:g}",
        discordant=f"{100 * power.DISCORDANT:g} %",
        power=power.table(promoted),
    )


def _tables(found: dict[Setting, dict[str, float]], known: str, names: tuple[str, ...]) -> str:
    """One table for each truth."""
    heads = " | ".join(HEADS.get(name, name) for name in names)
    tables = []
    for truth in TRUTHS:
        lines = [f"| Groups | Sizes | Correlation | {heads} |", "|---:|---|---:|" + "---:|" * len(names)]
        for groups, sizes, correlation in product(GROUPS, SIZES, CORRELATIONS):
            findings = found[Setting(groups, sizes, correlation, truth)]
            cells = " | ".join(_cell(name, findings[name]) for name in names)
            lines.append(f"| {groups} | {sizes} | {correlation:g} | {cells} |")
        tables += [f"True {known}: {truth:g}.", "\n".join(lines)]
    return "\n\n".join(tables)


def _cell(name: str, value: float) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:.2f}" if name == "width" else _percent(value)


def _percent(value: float) -> str:
    return f"{100 * value:.0f} %"


HEADS = {
    "accuracy": "Bonafide",
    "expanded": "groups, expanded percentile",
    "percentile": "groups, percentile",
    "images": "images, percentile",
    "width": "mean width",
}

TEMPLATE = """# How honest the intervals are

Written by `make bench-intervals`. How often a 95 % interval holds the truth, in {test_sets} simulated
test sets a row, whose truth is known. Groups have {images} images on average; the sizes of unequal ones
fall as 1, 1/2, 1/3 and so on. Each group has an accuracy of its own, drawn from a beta distribution
around the true one. The correlation is that of two images of one group: 0 if a group means nothing,
more if its images are easy or hard together. At a coverage of 95 % the standard error of a cell is
{error}. A dash stands where Bonafide gives no interval: 5 and 8 unequal groups say less than 5 equal ones.

In the tables of accuracy and of other measures, the lowest coverage of Bonafide's intervals is {lowest};
the median is {median}. Where [whole groups fail, but seldom](#groups-that-fail-whole), shares are covered in
{rare_lowest} of test sets at worst, and a difference of two models in {rare_difference}. Where images of one
group are alike, the bootstrap over images covers {images_lowest} to {images_highest}.

## Accuracy, by method

All methods see the same test sets. Bonafide's interval comes from the variance over {resamples}
resamples of the groups (see [Gate](../reference/gate.md#intervals)). The expanded percentile interval
is that of Hesterberg (2015), "What Teachers Should Know About the Bootstrap", The American Statistician
69:371-386. The bootstrap over images is the usual one; it takes images for independent.

{methods}

Where errors are rare and images of one group much alike, most groups are without an error, and a test
set may lack the rare group that is hard. No method can see what is not there: more groups are the only
cure.

## Other measures

The difference is that of the accuracies of two models on the same images; the truth is 0.

{measures}

## Groups that fail whole

The hardest case: all images of a group are wrong in {failing} of groups, and elsewhere {stray} of images are,
with {rare_images} images a group. Most test sets lack the groups that fail. Where fewer than three groups
hold an error, each effective group counts as no more than one image; with more groups, stray errors stand in
three of them, and the interval takes errors for stray ones. The difference is that against a champion that is
always right, so the challenger loses {rare_loss} points of accuracy; it is promoted where the interval
keeps a margin of {rare_margin}.

{seldom}

The last two columns tell what was given up. Where two models answer all images alike, each image counts, not
each group, because otherwise one wrong answer more made the interval narrower and could turn a refusal into a
promotion. The interval of a difference therefore does not cover groups that the test set lacks. In the tables
above, where models differ on many images, the rule changes nothing.

## Power: how often a challenger is promoted

One of two models is right and the other wrong on {discordant} of images, whatever their group. The
challenger is promoted where the lower end of the interval of the difference is no lower than minus the
margin.
Promoting a model that is worse by the whole margin is the error that a 95 % interval allows in 2.5 % of test
sets.

{power}

With few groups, a challenger that is as good as the champion is mostly refused. More groups of test images
help, and so does a wider margin, which lets more be lost.
"""

if __name__ == "__main__":
    main()

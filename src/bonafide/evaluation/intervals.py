"""What a measured value is worth: its 95 % interval, from how it varies between groups of images."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, PlainSerializer
from scipy.special import betaincinv, stdtrit

from bonafide.config import Config

FEWEST_GROUPS = 5
"""How a value varies between groups that say less than so many equal ones cannot be told from them."""

FEWEST_RARER = 3
"""How alike images of a group are cannot be told where fewer groups hold the rarer outcome."""

TOO_FEW = "too few groups"

EDGE = 1e-9
"""Rounding: a share this near to 0 or 1 is 0 or 1."""

Number = Annotated[
    float,
    BeforeValidator(lambda value: math.nan if value is None else value),
    PlainSerializer(lambda value: value if math.isfinite(value) else None, return_type=float | None),
]
"""A float that is NaN where a measure is undefined, and null in JSON."""


class Interval(Config):
    """A measured value and the 95 % interval around it; the ends are NaN where groups are too few for one."""

    value: Number
    low: Number
    high: Number

    def __str__(self) -> str:
        if not math.isfinite(self.value):
            return "undefined"
        if self.ends is None:
            return f"{self.value:.3f} ({TOO_FEW})"
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"

    @property
    def ends(self) -> tuple[float, float] | None:
        """``(low, high)``, or None where there is no interval."""
        return (self.low, self.high) if math.isfinite(self.low) and math.isfinite(self.high) else None


@dataclass(frozen=True)
class Basis:
    """What a value rests on: so many images in so many groups.

    ``effective`` is the number of equal groups that would say as much, (Σn)² / Σn² for groups of n images
    (Kish 1965, "Survey Sampling", chapter 8): unequal groups say less than their number. ``rarer`` is the
    number of groups that hold the rarer outcome of a share, such as a wrong answer, or None if a value is no
    share of images.
    """

    images: int
    groups: int
    effective: float
    rarer: int | None = None

    @property
    def freedom(self) -> float:
        """Degrees of freedom of a standard error from these groups, at least 1."""
        return max(self.effective - 1, 1.0)


Outcome = tuple[NDArray[np.bool_], NDArray[np.bool_]]
"""Two bool [N]: the images that are right (or whatever a share counts), and those it is a share of."""

Method = Callable[[float, float, Basis], Interval]
"""The interval of a value, from its variance over resampled groups (NaN if unknown) and what it rests on."""


def basis(
    groups: NDArray[np.int64], needs: Sequence[NDArray[np.bool_]], outcome: Outcome | None = None
) -> Basis:
    """What a value rests on that needs images of several kinds; the kind in the fewest groups counts.

    Args:
        groups: int64 [N], the group of each image.
        needs: one or more bool [N], each an indispensable kind of image, e.g. those of one label.
        outcome: of the images that a share counts.
    """
    sizes = [np.bincount(groups[need]) for need in needs]
    return Basis(
        images=int(np.any(needs, axis=0).sum()),
        groups=min(int(np.count_nonzero(each)) for each in sizes),
        effective=min(float(each.sum() ** 2 / max(1, (each**2).sum())) for each in sizes),
        rarer=_rarer(groups, *outcome) if outcome else None,
    )


def _rarer(groups: NDArray[np.int64], right: NDArray[np.bool_], within: NDArray[np.bool_]) -> int:
    return len(np.unique(min(groups[within & right], groups[within & ~right], key=len)))


def of_share(value: float, variance: float, basis: Basis) -> Interval:
    """The interval of a value in [0, 1], such as a share of images, a mean of shares or an AUROC.

    It is the exact binomial interval (Clopper & Pearson 1934) for the number of independent images that
    would vary as much, corrected for the degrees of freedom of the variance (Korn & Graubard 1998,
    "Confidence intervals for proportions with small expected number of positive counts estimated from
    survey data", Survey Methodology 24:193-201). Where the value is 0 or 1, or fewer than three groups hold
    the rarer outcome, the variance does not tell how alike images of a group are. There each effective group
    counts as no more than one image: the interval of n groups without an error starts at 0.025^(1/n).
    """
    if not _can_tell(value, variance, basis):
        return Interval(value=value, low=math.nan, high=math.nan)
    inside = EDGE < value < 1 - EDGE
    told = inside and (basis.rarer is None or basis.rarer >= FEWEST_RARER)
    independent = float(basis.images) if told else basis.effective
    if inside:
        student = _student(basis.images - 1) / _student(basis.freedom)
        independent = min(independent, value * (1 - value) / max(variance, EDGE**2) * student**2)
    right, wrong = value * independent, (1 - value) * independent
    return Interval(
        value=value,
        low=float(betaincinv(right, wrong + 1, 0.025)) if right > EDGE else 0.0,
        high=float(betaincinv(right + 1, wrong, 0.975)) if wrong > EDGE else 1.0,
    )


def of_difference(value: float, variance: float, basis: Basis) -> Interval:
    """The interval of a difference of two shares: Student's t around it, within [-1, 1].

    It reaches at least as far as where no image tells the models apart: there each image counts, and the
    reach is 1 - 0.025^(1/n) for n images (Hanley & Lippman-Hand 1983, "If Nothing Goes Wrong, Is Everything
    All Right?", JAMA 249:1743-1745). Without that floor one wrong answer more could narrow an interval.
    """
    if not _can_tell(value, variance, basis):
        return Interval(value=value, low=math.nan, high=math.nan)
    reach = max(_student(basis.freedom) * math.sqrt(variance), 1 - 0.025 ** (1 / basis.images))
    return Interval(value=value, low=max(-1.0, value - reach), high=min(1.0, value + reach))


def enough(effective: float, least: int) -> bool:
    """Whether groups say as much as ``least`` equal ones, to a tenth, as it is told."""
    return round(effective, 1) >= least


def about_intervals(count: int, groups: int, groups_are: str = "", noun: str = "image") -> str:
    """What the intervals of an evaluation say and what has none, for people.

    Args:
        count: of inputs in the test split.
        groups: that they come from.
        groups_are: what a group is in this task, as one sentence.
        noun: what one input is called.
    """
    sentences = (
        f"95 % intervals come from resampling the {groups} groups of the {count:,} test {noun}s, because "
        f"{noun}s of one group are alike.",
        groups_are,
        f"A value that rests on groups that say less than {FEWEST_GROUPS} equal ones has no interval. "
        "Neither have counts and the reliability diagram.",
    )
    return " ".join(filter(None, sentences))


def _can_tell(value: float, variance: float, basis: Basis) -> bool:
    return enough(basis.effective, FEWEST_GROUPS) and math.isfinite(value) and math.isfinite(variance)


def _student(freedom: float) -> float:
    return float(stdtrit(freedom, 0.975))

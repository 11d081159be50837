"""What is measured on held-out inputs, as types."""

from bonafide.config import Config
from bonafide.evaluation.intervals import Interval, Number

BINS = 15
CONFIDENT = 0.9


class LabelMetrics(Config):
    """One label against all others; ``support`` inputs in ``groups`` groups have it.

    The groups say as much as ``effective_groups`` equal ones: see
    :class:`bonafide.evaluation.intervals.Basis`.
    """

    precision: Interval
    recall: Interval
    f1: Interval
    support: int
    groups: int
    effective_groups: float


class BinaryMetrics(Config):
    """The first label (``negative``) against all others.

    The score is 1 - P(negative); the decision is that of the most probable label.
    """

    negative: str
    accuracy: Interval
    auroc: Interval
    true_positive_rate: Interval
    false_positive_rate: Interval


class Certainty(Config):
    """The share of answers that the decision rule calls uncertain, and the accuracy of the others."""

    uncertain: Interval
    accuracy_of_certain: Interval


class SliceMetrics(Config):
    """The inputs that share one value of a slice, e.g. one source, in groups as those of a label.

    ``binary_accuracy`` asks only for the first label or not; ``recall`` holds the labels that occur.
    """

    n: int
    groups: int
    effective_groups: float
    accuracy: Interval
    binary_accuracy: Interval
    recall: dict[str, Interval]


class Bin(Config):
    """One bar of the reliability diagram; means are NaN in an empty bin."""

    low: float
    high: float
    n: int
    confidence: Number
    accuracy: Number


class Baseline(Config):
    """What always answering the most frequent label would score."""

    label: str
    accuracy: float


class Metrics(Config):
    """Everything measured on one set of inputs. A measure that is undefined is NaN, and null in JSON.

    ``noun`` is what one input is called.
    Macro averages weigh labels alike and count a label that is never right as 0 (scikit-learn's
    ``zero_division=0``). ``auroc`` is the macro mean of one-versus-rest. ``ece`` has 15 equal-width bins
    of the top confidence; chance adds to it, the more the fewer the inputs. ``confident_errors`` counts wrong
    answers with a confidence of 0.9 or more. Intervals come from resampling the groups (see
    :mod:`bonafide.evaluation.intervals`); a measure that needs inputs of every label rests on the label in
    the fewest groups. Counts, the baseline and the reliability diagram have no interval.
    """

    noun: str = "image"
    n: int
    groups: int
    effective_groups: float
    samples: int
    seed: int
    accuracy: Interval
    balanced_accuracy: Interval
    macro_precision: Interval
    macro_recall: Interval
    macro_f1: Interval
    auroc: Interval
    average_precision: Interval
    ece: Interval
    labels: dict[str, LabelMetrics]
    binary: BinaryMetrics
    baseline: Baseline
    confident_errors: int
    confusion: tuple[tuple[int, ...], ...]
    reliability: tuple[Bin, ...]
    slices: dict[str, dict[str, SliceMetrics]]

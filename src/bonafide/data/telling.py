"""How well something small tells the labels apart, which only the whole input should tell."""

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonafide.config import Config

AUDITED = 50_000
"""The most inputs that are looked at."""
FOLDS = 5
CHANCE = 0.5
ERRORS = 4

Folds = list[tuple[NDArray[np.int64], NDArray[np.int64]]]


class Telling(Config):
    """How well a small tree tells ``label`` from the other labels in cross-validation.

    ``value`` is the balanced accuracy (:data:`CHANCE` is what guessing gets, whatever the number of labels),
    ``low`` that less :data:`ERRORS` standard errors: the highest of a hundred estimates
    is far above chance by luck when images are few.
    """

    label: str
    value: float
    low: float


class ShortcutAudit(Config):
    """What facts of an image's file tell, or a table's columns.

    ``by_label`` is by all facts of the file together (of two labels the first stands for both), ``by_fact``
    by each fact or column alone, for the label that it tells best. All columns together should tell the
    label, so a table has no ``by_label``, but ``peaks``: by column the label that it tells with the highest
    value, sure or not. ``content_size`` is by a file's size in bytes, which follows the
    content of equally encoded pictures and is therefore reported, not judged.
    """

    by_label: dict[str, Telling] = {}
    by_fact: dict[str, Telling]
    peaks: dict[str, Telling] = {}
    content_size: Telling | None = None

    @property
    def worst(self) -> Telling:
        """The most telling of all that is judged."""
        return most([*self.by_label.values(), *self.by_fact.values()])

    @property
    def highest(self) -> Telling:
        """The highest of all that is judged, sure or not."""
        every = [*self.by_label.values(), *self.by_fact.values(), *self.peaks.values()]
        return max(every, key=lambda telling: telling.value)

    def named(self, telling: Telling) -> str:
        """The fact or column that tells so much, if one does alone."""
        every = (*self.by_fact.items(), *self.peaks.items())
        return next((fact for fact, found in every if found == telling), "")

    @property
    def worst_fact(self) -> str:
        """The fact or column that alone tells the most."""
        return max(self.by_fact, key=lambda fact: self.by_fact[fact].low)


class Shortcuts:
    """Cross-validates shallow decision trees that tell one label from the others by a few columns.

    No group is in two folds when there are three or more; standard errors are over groups then.
    """

    def __init__(
        self, columns: Mapping[str, Sequence[Any]], labels: Sequence[str], groups: Sequence[str], seed: int
    ) -> None:
        """All are [N]; of labels there are two or more, each twice or more."""
        self._truth = np.asarray(labels)
        self._kinds = np.unique(self._truth)
        self._units = np.unique(np.asarray(groups), return_inverse=True)[1]
        if self._units.max() < 2:
            self._units = np.arange(len(self._truth))
        self._folds = _folds(self._truth, self._units, seed)
        self._columns = {name: _codes(values) for name, values in columns.items()}
        self._seed = seed

    def tell(self, *names: str) -> list[Telling]:
        """How well these columns together tell each label; of two labels the first stands for both."""
        features = np.stack([self._columns[name] for name in names], axis=1)
        judged = self._kinds if len(self._kinds) > 2 else self._kinds[:1]
        return [
            _tell(features, self._truth == kind, str(kind), self._units, self._folds, self._seed)
            for kind in judged
        ]


def enough(labels: Sequence[str]) -> bool:
    """Whether there is something to tell apart, and enough to cross-validate on."""
    counts = Counter(labels)
    return len(counts) > 1 and min(counts.values()) > 1


def most(found: Sequence[Telling]) -> Telling:
    """The one that is surest above chance."""
    return max(found, key=lambda telling: telling.low)


def _codes(values: Sequence[Any]) -> NDArray[np.float64]:
    """Numbers as they are; names by rank of frequency, so that a tree can part them."""
    if not isinstance(values[0], str):
        return np.asarray(values, dtype=np.float64)
    ranks = {value: rank for rank, (value, _) in enumerate(Counter(values).most_common())}
    return np.array([ranks[value] for value in values], dtype=np.float64)


def _folds(truth: NDArray[Any], units: NDArray[np.int64], seed: int) -> Folds:
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    rarest = int(np.unique(truth, return_counts=True)[1].min())
    alone = units.max() + 1 == len(truth)
    count = max(2, min(FOLDS, rarest, int(units.max()) + 1))
    splitter = (StratifiedKFold if alone else StratifiedGroupKFold)(count, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of labels that fewer groups hold than there are folds
        return list(splitter.split(truth, truth, units))


def _tell(
    features: NDArray[np.float64],
    truth: NDArray[np.bool_],
    label: str,
    units: NDArray[np.int64],
    folds: Folds,
    seed: int,
) -> Telling:
    """A ratio's standard error over clusters by linearisation: Cochran 1977, *Sampling Techniques*, 2.11."""
    from sklearn.tree import DecisionTreeClassifier

    tree = DecisionTreeClassifier(max_depth=8, min_samples_leaf=5, class_weight="balanced", random_state=seed)
    right = np.zeros(len(truth), dtype=bool)
    for known, asked in folds:
        right[asked] = tree.fit(features[known], truth[known]).predict(features[asked]) == truth[asked]
    recall = np.where(truth, right[truth].mean(), right[~truth].mean())
    weight = np.where(truth, 1 / truth.sum(), 1 / (~truth).sum()) / 2
    of_unit = np.bincount(units, weights=weight * (right - recall))
    error = np.sqrt((of_unit**2).sum() * len(of_unit) / (len(of_unit) - 1))
    value = (right[truth].mean() + right[~truth].mean()) / 2
    return Telling(label=label, value=float(value), low=float(value - ERRORS * error))

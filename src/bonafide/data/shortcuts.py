"""The shortcut audit: can the label be told from facts of the file alone, without looking at the picture?

Public sets of generated images often store one class in another format, size or JPEG quality; a
detector then learns the encoder (Grommelt et al. 2024, "Fake or JPEG?", arXiv 2403.17608).
"""

import hashlib
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL.JpegImagePlugin import JpegImageFile, get_sampling

from bonafide.config import Config
from bonafide.data.header import Limits, open_header

FACTS = (
    "format",
    "mode",
    "quantisation",
    "subsampling",
    "progressive",
    "width",
    "height",
    "exif",
    "icc",
)
CONTENT_SIZE = "content_size"
FOLDS = 5
CHANCE = 0.5
ERRORS = 4
_SUBSAMPLING = {0: "4:4:4", 1: "4:2:2", 2: "4:2:0"}

Facts = dict[str, Any]
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
    """What facts of the file alone tell.

    ``by_label`` is by all of :data:`FACTS` together (of two labels the first stands for both), ``by_fact``
    by each fact alone, for the label that it tells best. ``content_size`` is by the file's size in bytes,
    which follows the content of equally encoded pictures and is therefore reported, not judged.
    """

    by_label: dict[str, Telling]
    by_fact: dict[str, Telling]
    content_size: Telling

    @property
    def worst(self) -> Telling:
        """The most telling of all that is judged."""
        return _worst([*self.by_label.values(), *self.by_fact.values()])

    @property
    def highest(self) -> Telling:
        """The highest of all that is judged, sure or not."""
        return max([*self.by_label.values(), *self.by_fact.values()], key=lambda telling: telling.value)

    @property
    def worst_fact(self) -> str:
        """The fact that alone tells the most."""
        return max(self.by_fact, key=lambda fact: self.by_fact[fact].low)


def file_facts(content: bytes) -> Facts:
    """What an image file tells without its pixels: :data:`FACTS` and ``content_size`` in bytes.

    ``quantisation`` is an id of the JPEG quantisation tables; what a format lacks is ``"none"``.

    Raises:
        ImageError: the header cannot be read; images of a dataset always can be.
    """
    image = open_header(content, Limits(max_bytes=len(content)))
    facts: Facts = {
        "format": image.format,
        "mode": image.mode,
        "quantisation": "none",
        "subsampling": "none",
        "progressive": bool(image.info.get("progressive") or image.info.get("interlace")),
        "width": image.width,
        "height": image.height,
        "exif": "exif" in image.info,
        "icc": "icc_profile" in image.info,
        CONTENT_SIZE: len(content),
    }
    if isinstance(image, JpegImageFile):
        tables = repr(sorted((number, list(table)) for number, table in image.quantization.items()))
        facts["quantisation"] = hashlib.sha256(tables.encode()).hexdigest()[:8]
        facts["subsampling"] = _SUBSAMPLING.get(get_sampling(image), "other")
    return facts


def audit(facts: Iterable[Facts], labels: Sequence[str], groups: Sequence[str], seed: int) -> ShortcutAudit:
    """Cross-validate shallow decision trees that tell one label from the others by the facts.

    No group is in two folds when there are three or more; standard errors are over groups then.

    Args:
        facts: one mapping of :func:`file_facts` an image.
        labels: names [N]; at least two, each at least twice.
        groups: [N].
        seed: of the folds and the trees.
    """
    rows = list(facts)
    truth = np.asarray(labels)
    units = np.unique(np.asarray(groups), return_inverse=True)[1]
    if units.max() < 2:
        units = np.arange(len(truth))
    folds = _folds(truth, units, seed)
    kinds = np.unique(truth)
    columns = {fact: _codes([row[fact] for row in rows]) for fact in (*FACTS, CONTENT_SIZE)}

    def tell(*names: str) -> list[Telling]:
        features = np.stack([columns[name] for name in names], axis=1)
        judged = kinds if len(kinds) > 2 else kinds[:1]
        return [_tell(features, truth == kind, str(kind), units, folds, seed) for kind in judged]

    return ShortcutAudit(
        by_label={found.label: found for found in tell(*FACTS)},
        by_fact={fact: _worst(tell(fact)) for fact in FACTS},
        content_size=_worst(tell(CONTENT_SIZE)),
    )


def _worst(found: list[Telling]) -> Telling:
    return max(found, key=lambda telling: telling.low)


def _codes(values: list[Any]) -> NDArray[np.float64]:
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

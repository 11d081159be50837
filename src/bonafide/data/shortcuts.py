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

from bonafide.data.header import Limits, open_header
from bonafide.task import Config

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
_SUBSAMPLING = {0: "4:4:4", 1: "4:2:2", 2: "4:2:0"}

Facts = dict[str, Any]


class ShortcutAudit(Config):
    """Balanced accuracies of a small tree that saw only facts of the file.

    ``balanced_accuracy`` is by all of :data:`FACTS` together, ``by_fact`` by each alone, ``worst_fact``
    the strongest of those, ``chance`` what guessing gets. ``content_size`` is by the file's size in
    bytes, which follows the content of equally encoded pictures and is therefore reported, not judged.
    """

    balanced_accuracy: float
    chance: float
    by_fact: dict[str, float]
    worst_fact: str
    content_size: float


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


def audit(facts: Iterable[Facts], labels: Sequence[int], groups: Sequence[str], seed: int) -> ShortcutAudit:
    """Cross-validate a shallow decision tree on the facts; no group is in two folds when there are three.

    Args:
        facts: one mapping of :func:`file_facts` an image.
        labels: int [N]; at least two values, each at least twice.
        groups: [N].
        seed: of the folds and the tree.
    """
    rows = list(facts)
    truth = np.asarray(labels)
    columns = {fact: _codes([row[fact] for row in rows]) for fact in (*FACTS, CONTENT_SIZE)}

    def score(*names: str) -> float:
        return _balanced_accuracy(np.stack([columns[name] for name in names], axis=1), truth, groups, seed)

    by_fact = {fact: score(fact) for fact in FACTS}
    return ShortcutAudit(
        balanced_accuracy=score(*FACTS),
        chance=1 / len(np.unique(truth)),
        by_fact=by_fact,
        worst_fact=max(by_fact, key=by_fact.__getitem__),
        content_size=score(CONTENT_SIZE),
    )


def _codes(values: list[Any]) -> NDArray[np.float64]:
    """Numbers as they are; names by rank of frequency, so that a tree can part them."""
    if not isinstance(values[0], str):
        return np.asarray(values, dtype=np.float64)
    ranks = {value: rank for rank, (value, _) in enumerate(Counter(values).most_common())}
    return np.array([ranks[value] for value in values], dtype=np.float64)


def _balanced_accuracy(
    features: NDArray[np.float64], truth: NDArray[Any], groups: Sequence[str], seed: int
) -> float:
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, cross_val_predict
    from sklearn.tree import DecisionTreeClassifier

    _, names = np.unique(np.asarray(groups), return_inverse=True)
    rarest = int(np.unique(truth, return_counts=True)[1].min())
    apart = names.max() >= 2
    folds = max(2, min(FOLDS, rarest, int(names.max()) + 1))
    splitter = (StratifiedGroupKFold if apart else StratifiedKFold)(folds, shuffle=True, random_state=seed)
    tree = DecisionTreeClassifier(max_depth=8, min_samples_leaf=5, class_weight="balanced", random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        guesses = cross_val_predict(tree, features, truth, groups=names if apart else None, cv=splitter)
    return float(balanced_accuracy_score(truth, guesses))

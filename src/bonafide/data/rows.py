"""The audit of tables: does a column alone tell the label, and how are its numbers spread?"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bonafide.data.audited import Audited, Words
from bonafide.data.dataset import ALL, read, read_info, rows
from bonafide.data.report import histogram
from bonafide.data.telling import AUDITED, ShortcutAudit, Shortcuts, enough, most
from bonafide.features import Feature
from bonafide.task import Validation

WORDS = Words(
    alone="the column {fact!r} alone tells",
    advice="take the column out of features if it is not known when the model is asked; if it is, allow what "
    "it tells by a higher validation.shortcut_limit",
    shortcuts="by one column alone",
    note="A column that tells a class so well may hold what is known only afterwards.",
    same="number for number",
    apart="",
    item="row",
    sound="Every row has all its numbers, each in its range.",
    facts="Columns",
    look="How the numbers of each column are spread, class by class.",
)


def audit(dataset: Path, kept: NDArray[np.int64], _: Validation, seed: int) -> Audited:
    """Balanced accuracy by each column alone, of a sample where there are many rows, and histograms.

    Args:
        dataset: what was ingested.
        kept: the rows that are not left out.
        seed: of the sample, the folds and the trees.

    Raises:
        DataError: there is no dataset.
    """
    info, numbers = read_info(dataset), rows(dataset, ALL)
    about = read(dataset, ALL, ["label_name", "group"])
    labels, groups = (np.array(about[name].to_pylist(), dtype=object) for name in about.column_names)
    chosen = np.sort(np.random.default_rng(seed).permutation(kept)[:AUDITED])
    numbers, labels, groups = numbers[chosen], labels[chosen], groups[chosen]
    return Audited(
        words=WORDS,
        shortcuts=_shortcuts(numbers, labels, groups, info.features, seed),
        histograms=[
            histogram(_title(feature), {label: column[labels == label] for label in info.labels})
            for feature, column in zip(info.features, numbers.T, strict=True)
        ],
        merged_groups={},
        thumbnails={},
        facts={},
    )


def _shortcuts(
    numbers: NDArray[np.float32],
    labels: NDArray[np.object_],
    groups: NDArray[np.object_],
    features: tuple[Feature, ...],
    seed: int,
) -> ShortcutAudit | None:
    if not enough(labels.tolist()):
        return None
    columns = {feature.name: column.tolist() for feature, column in zip(features, numbers.T, strict=True)}
    told = Shortcuts(columns, labels.tolist(), groups.tolist(), seed)
    tellings = {name: told.tell(name) for name in columns}
    return ShortcutAudit(
        by_fact={name: most(found) for name, found in tellings.items()},
        peaks={name: max(found, key=lambda each: each.value) for name, found in tellings.items()},
    )


def _title(feature: Feature) -> str:
    return f"{feature.name} in {feature.unit}" if feature.unit else feature.name

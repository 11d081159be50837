"""What a source held becomes a dataset, whole or not at all, with something to learn for every label."""

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa

from bonafide import files
from bonafide.data import dataset
from bonafide.data.dataset import INFO, DatasetInfo, Quarantined, ShardWriter
from bonafide.errors import DataError
from bonafide.modality import NOUNS, Modality


def write_dataset(
    batches: Callable[[Path, list[Quarantined]], Iterable[pa.RecordBatch]],
    labels: tuple[str, ...],
    out: Path,
    modality: Modality,
    usable: str,
    **about: Any,
) -> DatasetInfo:
    """Write the dataset ``out`` with the one split ``all``.

    Args:
        batches: gives all that is usable; what is not, it puts into the folder's quarantine and on the list.
        labels: the task's label names.
        out: the folder to write; it appears whole or not at all.
        modality: what one input is.
        usable: what to give if nothing can be used, for people.
        about: further fields of :class:`DatasetInfo`.

    Raises:
        DataError: a label has nothing usable.
    """
    quarantined: list[Quarantined] = []
    present: Counter[str] = Counter()
    with files.new_folder(out, INFO) as folder:
        with ShardWriter(folder, dataset.ALL) as writer:
            for batch in batches(folder, quarantined):
                present.update(batch["label_name"].to_pylist())
                writer.write(batch)
            _check_presence(present, labels, quarantined, NOUNS[modality], usable)
        refused = tuple(quarantined)
        info = dataset.describe(
            folder, [dataset.ALL], labels, modality=modality, quarantined=refused, **about
        )
        dataset.write_info(folder, info)
    return info


def unknown_label(path: str, label: str, seen: Iterable[str], labels: tuple[str, ...]) -> DataError:
    """That a label is none of the task's, with what to do.

    Args:
        path: what has it.
        label: its name.
        seen: all names that the source has.
        labels: the task's.
    """
    found = sorted(seen)
    unknown = ", ".join(name for name in found if name not in labels)
    return DataError(
        f"{path}: label {label!r} is not among the task's labels [{', '.join(labels)}]; "
        f"not known: {unknown}. Rename the classes, or run with --set name=NAME "
        f"--set 'labels=[{', '.join(found)}]'"
    )


def _check_presence(
    present: Counter[str], labels: tuple[str, ...], quarantined: list[Quarantined], noun: str, usable: str
) -> None:
    refused = Counter(each.reason for each in quarantined)
    refusals = ", ".join(f"{count} {reason}" for reason, count in refused.most_common())
    aside = f"; refused: {refusals}, for example {quarantined[0].path}" if quarantined else ""
    if not present:
        raise DataError(f"no usable {noun}{aside or ' in the source'}; {usable}")
    if len(present) < 2:
        only = next(iter(present))
        raise DataError(
            f"all {present[only]} usable {noun}s are {only!r}{aside}; a model needs at least two classes: "
            f"add {noun}s of {', '.join(repr(label) for label in labels if label != only)}"
        )
    if missing := [label for label in labels if not present[label]]:
        raise DataError(
            f"no usable {noun} of the task's label {', '.join(map(repr, missing))}{aside}; add some, or run "
            f"with --set name=NAME --set 'labels=[{', '.join(label for label in labels if present[label])}]'"
        )

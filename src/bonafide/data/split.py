"""Group-aware splits that stay: no group in two of them, and none that moves when the data grow."""

from collections import Counter
from contextlib import ExitStack
from itertools import product
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bonafide import files
from bonafide.data.dataset import (
    ALL,
    INFO,
    DatasetInfo,
    ShardWriter,
    batches,
    describe,
    read,
    read_info,
    write_info,
)
from bonafide.data.placement import (
    HOLDOUT,
    PLACEMENT,
    TEST,
    TRAIN,
    VAL,
    Assignment,
    Rows,
    assign,
    read_placement,
    write_placement,
)
from bonafide.data.verdict import ValidationVerdict, read_verdict, refuse_failed
from bonafide.errors import DataError
from bonafide.modality import NOUNS
from bonafide.task import Split

HELD_OUT = "held-out-generator"
ACROSS = "near-duplicate-across-splits"
UNJOIN = "lower validation.near_duplicate_distance if groups were merged that do not belong together, "


def split(
    dataset: Path, validation: Path, out: Path, config: Split, seed: int, placed: Path | None = None
) -> DatasetInfo:
    """Write the dataset ``out`` with the splits train, val, test and, if asked for, holdout.

    What validation excluded is left out, and groups that it merged stay together under one name. Images
    by a held-out generator reach test only. What is left out is counted in ``excluded``.
    :func:`bonafide.data.placement.assign` says where each group goes; ``out/placement.parquet`` keeps it for
    the next dataset.

    Args:
        dataset: what was ingested.
        validation: what was found there.
        out: the folder to write; it appears whole or not at all.
        config: the task's section.
        seed: of the hash that places groups.
        placed: the ``placement.parquet`` of the dataset whose splits are to be kept.

    Raises:
        DataError: the audit failed or is of another dataset, a split would lack a label, the source gives no
            split though ``config`` asks for it, or ``placed`` is no placement.
    """
    info, verdict = read_info(dataset), read_verdict(validation)
    refuse_failed(verdict, validation)
    if verdict.dataset_digest != info.digest:
        raise DataError(f"{validation} is the audit of another dataset than {dataset}; validate this one")
    table = read(dataset, ALL, ["label_name", "generator", "group", "given"]).to_pydict()
    given = table["given"] if config.given else [None] * len(table["group"])
    if config.given and not any(given):
        raise DataError(
            f"{dataset} gives no split; put the classes into folders train and test, name the column split "
            "in the manifest, or leave out split.given"
        )
    unseen = [name in config.held_out_generators for name in table["generator"]]
    fractions = _fractions(config, HOLDOUT in given)
    before = read_placement(placed) if placed else {}
    rows = Rows(table["group"], verdict.merged_groups, given, unseen)
    assigned = assign(rows, fractions, seed, before)
    reasons = _reasons(assigned, unseen, verdict)
    where = np.array(assigned.splits, dtype=object)
    where[[row for row, reason in enumerate(reasons) if reason]] = None
    _check(where, table["label_name"], assigned.names, list(fractions), info, verdict)
    with files.new_folder(out, INFO) as folder:
        _write(dataset, folder, list(fractions), where, assigned.names)
        write_placement(folder / PLACEMENT, assigned.places)
        result = describe(
            folder,
            fractions,
            info.labels,
            modality=info.modality,
            features=info.features,
            seed=seed,
            parents=(info.digest,),
            quarantined=info.quarantined,
            skipped=info.skipped,
            origins=info.origins,
            excluded=dict(Counter(filter(None, reasons))),
        )
        write_info(folder, result)
    return result


def _fractions(config: Split, holdout: bool) -> dict[str, float]:
    """The share of each split, in the order in which they are written."""
    shares = {
        TRAIN: 1 - config.val - config.test - config.holdout,
        VAL: config.val,
        TEST: config.test,
        HOLDOUT: config.holdout,
    }
    return {name: share for name, share in shares.items() if share > 0 or (name == HOLDOUT and holdout)}


def _reasons(assigned: Assignment, unseen: list[bool], verdict: ValidationVerdict) -> list[str | None]:
    """Why an image or row is left out, or None."""
    excluded = {each.row: each.reason for each in verdict.excluded}

    def reason(row: int, place: str | None, by_held_out: bool) -> str | None:
        if row in excluded:
            return excluded[row]
        if place is None:
            return ACROSS
        return HELD_OUT if by_held_out and place != TEST else None

    places = zip(assigned.splits, unseen, strict=True)
    return [reason(row, *told) for row, told in enumerate(places)]


def _check(
    where: NDArray[np.object_],
    labels: list[str],
    groups: list[str],
    splits: list[str],
    info: DatasetInfo,
    verdict: ValidationVerdict,
) -> None:
    placed = [place is not None for place in where]
    pairs = set(zip(np.array(groups)[placed], where[placed], strict=True))
    assert len({group for group, _ in pairs}) == len(pairs), "a group is in two splits"
    present = set(zip(where, labels, strict=True))
    noun = NOUNS[info.modality]
    for split, name in product(splits, info.labels):
        if (split, name) not in present:
            holding = len({group for group, label in zip(groups, labels, strict=True) if label == name})
            raise DataError(
                f"split {split!r} would have no {noun} of {name!r}: only {holding} groups hold that label, "
                f"and each falls into one of {len(splits)} splits by chance. Add {noun}s from more sources, "
                f"take another seed, {UNJOIN if verdict.merged_groups else ''}or change split.val, "
                "split.test, split.holdout or split.held_out_generators"
            )


def _write(
    dataset: Path, folder: Path, splits: list[str], where: NDArray[np.object_], groups: list[str]
) -> None:
    start = 0
    with ExitStack() as stack:
        writers = {name: stack.enter_context(ShardWriter(folder, name)) for name in splits}
        for batch in batches(dataset, ALL):
            rows = slice(start, start + batch.num_rows)
            start = rows.stop
            column = batch.schema.get_field_index("group")
            named = pa.array(groups[rows], pa.string())
            renamed = batch.set_column(column, batch.schema.field(column), named)
            for name, writer in writers.items():
                writer.write(renamed.filter(pa.array(where[rows] == name)))

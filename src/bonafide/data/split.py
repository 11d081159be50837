"""Stratified, group-aware splits: no group in two of them, every label in each."""

from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bonafide import files
from bonafide.data.dataset import (
    ALL,
    INFO,
    SCHEMA,
    DatasetInfo,
    ShardWriter,
    batches,
    describe,
    read,
    read_info,
    write_info,
)
from bonafide.data.verdict import read_verdict
from bonafide.errors import DataError
from bonafide.task import Split

TEST = "test"
HELD_OUT = "held-out-generator"
LEFT_OUT = -1
CANDIDATES = 300
STEPS = 30_000

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]


def split(
    dataset: Path,
    validation: Path,
    out: Path,
    config: Split,
    seed: int,
    placed: Path | None = None,  # noqa: ARG001  (placeholder)
) -> DatasetInfo:
    """Write the dataset ``out`` with the splits train, val, test and, if asked for, holdout.

    Images that validation excluded are left out, and groups that it merged stay together under one
    name. Images by a held-out generator reach test only: where their group falls elsewhere they are
    left out and counted in ``excluded``.

    Raises:
        DataError: too few groups, or a split would lack a label.
    """
    info, verdict = read_info(dataset), read_verdict(validation)
    table = read(dataset, ALL, ["label", "generator", "group"]).to_pydict()
    labels = np.array(table["label"], dtype=np.int64)
    names = [verdict.merged_groups.get(group, group) for group in table["group"]]
    groups = np.unique(np.array(names, dtype=np.str_), return_inverse=True)[1]
    usable = np.ones(len(labels), dtype=bool)
    usable[[image.row for image in verdict.excluded]] = False
    unseen = np.array([name in config.held_out_generators for name in table["generator"]])
    fractions = _fractions(config)
    where = np.full(len(labels), LEFT_OUT, dtype=np.int64)
    where[usable] = assign(labels[usable], groups[usable], unseen[usable], fractions, seed)
    _check(where, labels, groups, list(fractions), info.labels)
    reasons = Counter(image.reason for image in verdict.excluded)
    reasons[HELD_OUT] += int((usable & (where == LEFT_OUT)).sum())
    with files.new_folder(out, INFO) as folder:
        _write(dataset, folder, list(fractions), where, names)
        result = describe(
            folder,
            fractions,
            info.labels,
            seed=seed,
            parents=(info.digest,),
            quarantined=info.quarantined,
            excluded=dict(+reasons),
        )
        write_info(folder, result)
    return result


def assign(
    labels: Integers, groups: Integers, unseen: NDArray[np.bool_], fractions: Mapping[str, float], seed: int
) -> Integers:
    """The split of each image, as an index into ``fractions``, or ``LEFT_OUT``.

    Groups go whole, roughly the largest first, to the split whose label counts they bring closest to what is
    wanted (as scikit-learn's ``StratifiedGroupKFold`` does); groups of one image then fill what is
    missing of their label. With few groups the order matters, so several seeded orders are tried and
    the assignment with the smallest distance to the wanted fractions is taken.

    Args:
        labels: int64 [N].
        groups: int64 [N].
        unseen: [N], images by a held-out generator: they follow their group into test, or are left
            out; a group of nothing else goes to test.
        fractions: the wanted share of images of each label, by split; one split is ``test``.
        seed: of the orders tried.
    """
    kinds, group_of = np.unique(groups, return_inverse=True)
    counts = np.zeros((len(kinds), int(labels.max(initial=0)) + 1))
    np.add.at(counts, (group_of[~unseen], labels[~unseen]), 1)
    wanted = np.array(list(fractions.values()))
    large = np.flatnonzero(counts.sum(axis=1) > 1)
    rng = np.random.default_rng(seed)
    tries = max(1, min(CANDIDATES, STEPS // (len(large) + len(kinds) // 100 + 1))) if len(large) else 1
    candidates = [_candidate(counts, large, wanted, rng) for _ in range(tries)]
    place = min(candidates, key=lambda candidate: _distance(counts, candidate, wanted))
    test = list(fractions).index(TEST)
    place[counts.sum(axis=1) == 0] = test
    where = place[group_of]
    where[unseen & (where != test)] = LEFT_OUT
    return where


def _candidate(counts: Floats, large: Integers, wanted: Floats, rng: np.random.Generator) -> Integers:
    """One assignment of groups to splits, int64 [G]."""
    place = np.zeros(len(counts), dtype=np.int64)
    shares = counts / np.maximum(counts.sum(axis=0), 1)
    missing = np.repeat(wanted[:, None], counts.shape[1], axis=1) * (counts.sum(axis=0) > 0)
    sizes = shares[large].sum(axis=1) * np.exp(0.5 * rng.standard_normal(len(large)))
    for group in large[np.argsort(-sizes, kind="stable")]:
        gain = (missing**2 - (missing - shares[group]) ** 2).sum(axis=1)
        place[group] = np.argmax(gain)
        missing[place[group]] -= shares[group]
    single = counts.sum(axis=1) == 1
    for label in range(counts.shape[1]):
        members = rng.permutation(np.flatnonzero(single & (counts[:, label] == 1)))
        room = np.maximum(missing[:, label], 0)
        room = room / room.sum() if room.sum() else wanted
        edges = np.rint(np.cumsum(room) * len(members)).astype(np.int64)
        place[members] = np.searchsorted(edges, np.arange(len(members)), side="right")
    return place


def _distance(counts: Floats, place: Integers, wanted: Floats) -> float:
    """How far the shares are from the wanted ones; an empty cell costs more than any imbalance."""
    cells = np.zeros((len(wanted), counts.shape[1]))
    np.add.at(cells, place, counts)
    present = counts.sum(axis=0) > 0
    shares = cells[:, present] / counts.sum(axis=0)[present]
    return float(np.abs(shares - wanted[:, None]).sum() + 10 * (shares == 0).sum())


def _fractions(config: Split) -> dict[str, float]:
    """The share of each split, in the order in which they are written."""
    shares = {
        "train": 1 - config.val - config.test - config.holdout,
        "val": config.val,
        TEST: config.test,
        "holdout": config.holdout,
    }
    return {name: share for name, share in shares.items() if share > 0}


def _check(
    where: Integers, labels: Integers, groups: Integers, splits: list[str], names: tuple[str, ...]
) -> None:
    placed = where != LEFT_OUT
    pairs = np.unique(np.stack([groups[placed], where[placed]]), axis=1)
    assert len(np.unique(pairs[0])) == pairs.shape[1], "a group is in two splits"
    for index, name in enumerate(splits):
        for label, label_name in enumerate(names):
            if not ((where == index) & (labels == label)).any():
                holding = len(np.unique(groups[labels == label]))
                raise DataError(
                    f"split {name!r} would have no image of {label_name!r}: only {holding} groups "
                    f"hold that label, and there are {len(splits)} splits. Add images from more sources, "
                    "lower validation.near_duplicate_distance if groups were merged that do not belong "
                    "together, or change split.val, split.test, split.holdout or split.held_out_generators"
                )


def _write(dataset: Path, folder: Path, splits: list[str], where: Integers, groups: list[str]) -> None:
    column = SCHEMA.get_field_index("group")
    start = 0
    with ExitStack() as stack:
        writers = [stack.enter_context(ShardWriter(folder, name)) for name in splits]
        for batch in batches(dataset, ALL):
            rows = slice(start, start + batch.num_rows)
            start = rows.stop
            renamed = batch.set_column(column, SCHEMA.field(column), pa.array(groups[rows], pa.string()))
            for index, writer in enumerate(writers):
                writer.write(renamed.filter(pa.array(where[rows] == index)))

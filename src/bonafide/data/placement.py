"""Where each group goes: the source says, or its place before, or a hash of its name."""

import hashlib
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bonafide.errors import DataError

PLACEMENT = "placement.parquet"
TRAIN, VAL, TEST, HOLDOUT = "train", "val", "test", "holdout"
FIRST = (TEST, HOLDOUT, VAL, TRAIN)

_SCHEMA = pa.schema([("group", pa.string()), ("split", pa.string())])


@dataclass(frozen=True)
class Rows:
    """The images to place, a list entry each.

    ``merged`` maps groups that near duplicates join to one name; ``given`` is the source's own split, or
    None; ``unseen`` says that a held-out generator made the image.
    """

    groups: list[str]
    merged: Mapping[str, str]
    given: list[str | None]
    unseen: list[bool]


@dataclass(frozen=True)
class Assignment:
    """Of each image its split, or None if it is left out, and the name that its group goes by there.

    ``places`` is the split of every group by its own name: what the next dataset inherits.
    """

    splits: list[str | None]
    names: list[str]
    places: dict[str, str]


@dataclass
class _Component:
    """Groups that near duplicates join."""

    name: str
    groups: set[str] = field(default_factory=set)
    given: set[str] = field(default_factory=set)
    unseen: bool = True

    @property
    def kept(self) -> str | None:
        """The given split whose images stay where the component has several."""
        return next((split for split in FIRST if split in self.given), None)


def assign(rows: Rows, fractions: Mapping[str, float], seed: int, before: Mapping[str, str]) -> Assignment:
    """The split of each image; whatever is added later, only a given split moves a group that was placed.

    - A group's place is :func:`hashed`, so it depends on the group and the seed alone.
    - A group in ``before`` keeps its split if there still is one of that name.
    - Groups joined by near duplicates go together: to the split where some of them are already; if those are
      in several splits they stay there and the new ones, which would bridge them, are left out; if none is
      placed, by the hash of the first name.
    - Images with a given split keep it, whatever ``before`` says. If joined groups have several, those given
      as test stay, else holdout, val, train, and the others are left out. If no image is given as val, those
      given as train are divided into train and val.
    - Groups of nothing but unseen images go to test, unless they were placed or given.

    Each group is placed by itself, so the share of a label's images that a split gets is not exactly its
    fraction p. Its standard deviation is sqrt(p (1 - p) / n), where n = (sum of sizes)² / (sum of squared
    sizes) is the effective number of groups of that label (Kish 1965, *Survey Sampling*, 11.7); five of them
    are not exceeded in practice.

    Args:
        rows: the images, N of them.
        fractions: the wanted share of groups, by split.
        seed: of the hash.
        before: the split of each group in an earlier dataset.
    """
    components = _components(rows)
    divided = VAL not in rows.given
    homes = {name: _homes(part, fractions, divided, seed, before) for name, part in components.items()}
    apart = {name for name, places in homes.items() if len(set(places.values())) > 1}
    splits: list[str | None] = []
    names = []
    for group, given in zip(rows.groups, rows.given, strict=True):
        name = rows.merged.get(group, group)
        stays = given in (None, components[name].kept)
        splits.append(homes[name].get(group) if stays else None)
        names.append(group if name in apart else name)
    places = {group: split for group, split in before.items() if split in fractions}
    places |= {group: split for group, split in zip(rows.groups, splits, strict=True) if split}
    return Assignment(splits, names, places)


def hashed(group: str, seed: int, fractions: Mapping[str, float]) -> str:
    """The split on whose part of the line from 0 to 1 the first 53 bits of SHA-256 of seed and group fall."""
    digest = hashlib.sha256(f"{seed}\0{group}".encode()).digest()
    edges = list(accumulate(fractions.values()))
    point = (int.from_bytes(digest[:8]) >> 11) / 2**53 * edges[-1]
    return list(fractions)[bisect_right(edges, point)]


def read_placement(path: Path) -> dict[str, str]:
    """The split of each group, as an earlier split wrote it.

    Raises:
        DataError: it is not there, or was written by something else.
    """
    try:
        table = pq.read_table(path).cast(_SCHEMA).to_pydict()
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DataError(
            f"{path} holds no placement ({error}); give the one that `bonafide data split` wrote"
        ) from error
    return dict(zip(table["group"], table["split"], strict=True))


def write_placement(path: Path, places: Mapping[str, str]) -> None:
    """Write what :func:`read_placement` reads, sorted by group."""
    groups = sorted(places)
    pq.write_table(pa.table([groups, [places[group] for group in groups]], _SCHEMA), path)


def _components(rows: Rows) -> dict[str, _Component]:
    found: dict[str, _Component] = {}
    for group, given, unseen in zip(rows.groups, rows.given, rows.unseen, strict=True):
        name = rows.merged.get(group, group)
        part = found.setdefault(name, _Component(name))
        part.groups.add(group)
        part.unseen &= unseen
        if given:
            part.given.add(given)
    return found


def _homes(
    part: _Component, fractions: Mapping[str, float], divided: bool, seed: int, before: Mapping[str, str]
) -> dict[str, str]:
    """The split of each group that has one."""
    allowed = fractions
    if part.kept == TRAIN and divided:
        allowed = {name: fractions[name] for name in (TRAIN, VAL)}
    elif part.kept:
        allowed = {part.kept: 1}
    known = {group: before[group] for group in part.groups if before.get(group) in allowed}
    places = set(known.values())
    if len(places) > 1:
        return known
    alone = TEST if part.unseen and not part.kept else hashed(part.name, seed, allowed)
    return dict.fromkeys(part.groups, places.pop() if places else alone)

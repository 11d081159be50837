"""What validation asks of one modality's inputs beyond what it asks of every dataset."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bonafide.data.telling import ShortcutAudit

Shares = list[tuple[str, dict[str, float]]]
"""Values, and the share of each label's inputs that have them."""


class Histogram(NamedTuple):
    """Shares by equal bins, 0 to 1 of the tallest, for each label; ``low`` and ``high`` are the ends."""

    title: str
    low: float
    high: float
    shares: dict[str, list[float]]


@dataclass(frozen=True)
class Words:
    """What validation calls things.

    ``alone`` says what alone tells a label, where ``{fact}`` stands for a fact's name, and ``advice`` what to
    do about it. ``shortcuts`` ends the sentence on how they are measured, ``note`` is said below them.
    ``same`` is how equal inputs are equal, ``apart`` that there are no near duplicates. ``item`` is what may
    be refused, ``sound`` that none was. ``facts`` is the title of what is shown of them, ``look`` says how
    to look at it.
    """

    alone: str
    advice: str
    shortcuts: str
    note: str
    same: str
    apart: str
    item: str
    sound: str
    facts: str
    look: str


@dataclass(frozen=True)
class Audited:
    """What was found, and what the report shows: thumbnails by label, commonest facts, and histograms.

    ``merged_groups`` maps a group to the one it is to stay with. ``shortcuts`` is None where there is too
    little to cross-validate on.
    """

    words: Words
    shortcuts: ShortcutAudit | None
    histograms: Sequence[Histogram]
    merged_groups: Mapping[str, str]
    thumbnails: Mapping[str, Sequence[str]]
    facts: Mapping[str, Shares]

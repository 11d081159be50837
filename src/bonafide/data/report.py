"""The validation report for people: one HTML file that needs nothing else."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from bonafide import pages
from bonafide.data.audited import Audited, Histogram
from bonafide.data.dataset import DatasetInfo
from bonafide.data.telling import CHANCE, ERRORS, ShortcutAudit, Telling
from bonafide.data.verdict import ValidationVerdict
from bonafide.modality import NOUNS

OPTIONAL = ("generator", "given")
"""Columns that may be empty by design."""
LISTED = 200
BINS = 24


def render(
    info: DatasetInfo,
    verdict: ValidationVerdict,
    audited: Audited,
    missing: dict[str, int],
    title: str = "",
) -> str:
    """The page as HTML; every text that comes from a file is escaped.

    Args:
        info: of the dataset.
        verdict: what validation found.
        audited: what it found of this modality.
        missing: empty cells by column.
        title: of the task.
    """
    noun = NOUNS[info.modality]
    total = sum(sum(split.values()) for split in info.counts.values())
    return pages.render(
        "validation.html",
        title=title or "Dataset",
        headline=_headline(verdict, f"{total:,} {noun}s"),
        facts={"data digest": info.digest} | ({} if info.seed is None else {"seed": str(info.seed)}),
        info=info,
        verdict=verdict,
        audited=audited,
        noun=noun,
        names={"minimum-per-label": f"{noun}s of the rarest label", "class-balance": "balance of the labels"},
        number=number,
        counts=next(iter(info.counts.values())),
        total=total,
        bars=_bars(verdict.shortcuts),
        chance=CHANCE,
        errors=ERRORS,
        limit=next((check.required for check in verdict.checks if check.name == "shortcuts"), None),
        missing={name: count for name, count in missing.items() if count and name not in OPTIONAL},
        quarantine_reasons=Counter(file.reason for file in info.quarantined).most_common(),
        exclusion_reasons=Counter(each.reason for each in verdict.excluded).most_common(),
        merged=_merged(verdict.merged_groups),
        listed=LISTED,
    )


def number(value: float) -> str:
    """Whole numbers whole, others to four digits, thousands apart."""
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 1000 else f"{value:.4g}"


def _headline(verdict: ValidationVerdict, inputs: str) -> str:
    checks = len(verdict.checks)
    if verdict.passed:
        return f"Passed: {inputs}, all {checks} checks"
    failed = sum(not check.passed for check in verdict.checks)
    return f"Failed: {failed} of {checks} checks on {inputs}"


def _bars(audit: ShortcutAudit | None) -> list[tuple[str, Telling, bool]]:
    """What the tree saw, what that tells, and whether the check judges it; the strongest first."""
    if audit is None:
        return []
    beside = audit.content_size
    return [
        *(("all facts together", telling, True) for telling in _strongest(audit.by_label).values()),
        *((fact, telling, True) for fact, telling in _strongest(audit.by_fact).items()),
        *([("file size in bytes (not judged)", beside, False)] if beside else []),
    ]


def _strongest(tellings: dict[str, Telling]) -> dict[str, Telling]:
    return dict(sorted(tellings.items(), key=lambda item: -item[1].low))


def histogram(title: str, values: Mapping[str, Sequence[float]]) -> Histogram:
    """How the values of each label are spread."""
    every = np.concatenate([*values.values(), []])
    low, high = (float(every.min()), float(every.max())) if len(every) else (0.0, 0.0)
    shares = {}
    for label, some in values.items():
        heights = np.histogram(some, bins=BINS, range=(low, high if high > low else low + 1))[0]
        shares[label] = (heights / max(1, heights.max())).round(3).tolist()
    return Histogram(title, low, high, shares)


def _merged(groups: dict[str, str]) -> list[tuple[str, list[str]]]:
    joined: dict[str, list[str]] = {}
    for group, kept in groups.items():
        joined.setdefault(kept, []).append(group)
    return sorted(joined.items(), key=lambda item: -len(item[1]))

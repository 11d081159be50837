"""The validation report for people: one HTML file that needs nothing else."""

import base64
from collections import Counter
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from bonafide import pages
from bonafide.data.dataset import DatasetInfo
from bonafide.data.decoding import decode
from bonafide.data.shortcuts import CHANCE, ERRORS, FACTS, Facts, ShortcutAudit, Telling
from bonafide.data.verdict import ValidationVerdict

NAMES = {"minimum-per-label": "images of the rarest label", "class-balance": "balance of the labels"}
OPTIONAL = ("generator", "given")
"""Columns that may be empty by design."""
THUMBNAIL = 112
LISTED = 200
VALUES = 6
BINS = 24


def render(
    info: DatasetInfo,
    verdict: ValidationVerdict,
    facts: list[tuple[str, Facts]],
    samples: dict[str, list[bytes]],
    missing: dict[str, int],
) -> str:
    """The page as HTML; every text that comes from a file is escaped.

    Args:
        info: of the dataset.
        verdict: what validation found.
        facts: label name and file facts of each audited image.
        samples: a few image files a label.
        missing: empty cells by column.
    """
    total = sum(sum(split.values()) for split in info.counts.values())
    return pages.render(
        "validation.html",
        title="Dataset",
        headline=_headline(verdict, total),
        facts={"data digest": info.digest} | ({} if info.seed is None else {"seed": str(info.seed)}),
        info=info,
        verdict=verdict,
        names=NAMES,
        number=number,
        counts=next(iter(info.counts.values())),
        total=total,
        thumbnails={label: [thumbnail(file) for file in samples.get(label, [])] for label in info.labels},
        bars=_bars(verdict.shortcuts),
        chance=CHANCE,
        errors=ERRORS,
        limit=next((check.required for check in verdict.checks if check.name == "shortcuts"), None),
        file_facts={fact: _by_label(facts, fact, info.labels) for fact in FACTS},
        sizes={name: _histogram(facts, name, info.labels) for name in ("width", "height", "content_size")},
        missing={name: count for name, count in missing.items() if count and name not in OPTIONAL},
        quarantine_reasons=Counter(file.reason for file in info.quarantined).most_common(),
        exclusion_reasons=Counter(image.reason for image in verdict.excluded).most_common(),
        merged=_merged(verdict.merged_groups),
        listed=LISTED,
    )


def number(value: float) -> str:
    """Whole numbers whole, others to four digits, thousands apart."""
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 1000 else f"{value:.4g}"


def thumbnail(content: bytes) -> str:
    """A ``data:`` URI of the image, its longer side at most 112 pixels; small images are not enlarged."""
    image = Image.fromarray(decode(content).pixels)
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = BytesIO()
    image.save(buffer, "WEBP", quality=85)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def _headline(verdict: ValidationVerdict, total: int) -> str:
    checks = len(verdict.checks)
    if verdict.passed:
        return f"Passed: {total:,} images, all {checks} checks"
    failed = sum(not check.passed for check in verdict.checks)
    return f"Failed: {failed} of {checks} checks on {total:,} images"


def _bars(audit: ShortcutAudit | None) -> list[tuple[str, Telling, bool]]:
    """What the tree saw, what that tells, and whether the check judges it; the strongest first."""
    if audit is None:
        return []
    return [
        *(("all facts together", telling, True) for telling in _strongest(audit.by_label).values()),
        *((fact, telling, True) for fact, telling in _strongest(audit.by_fact).items()),
        ("file size in bytes (not judged)", audit.content_size, False),
    ]


def _strongest(tellings: dict[str, Telling]) -> dict[str, Telling]:
    return dict(sorted(tellings.items(), key=lambda item: -item[1].low))


def _by_label(
    facts: list[tuple[str, Facts]], fact: str, labels: tuple[str, ...]
) -> list[tuple[str, dict[str, float]]]:
    """The commonest values of a fact, each with the share of every label's images that have it."""
    counts = Counter((label, _readable(row[fact])) for label, row in facts)
    totals = Counter(label for label, _ in facts)
    values = Counter(_readable(row[fact]) for _, row in facts)
    return [
        (value, {label: counts[label, value] / max(1, totals[label]) for label in labels})
        for value, _ in values.most_common(VALUES)
    ]


def _readable(value: Any) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _histogram(facts: list[tuple[str, Facts]], name: str, labels: tuple[str, ...]) -> dict[str, Any]:
    """Shares by equal bins, 0 to 1 of the tallest, for each label; ``low`` and ``high`` are the ends."""
    values = {label: [row[name] for owner, row in facts if owner == label] for label in labels}
    every = [value for some in values.values() for value in some] or [0]
    low, high = min(every), max(every)
    shares = {}
    for label, some in values.items():
        heights = np.histogram(some, bins=BINS, range=(low, high if high > low else low + 1))[0]
        shares[label] = (heights / max(1, heights.max())).round(3).tolist()
    return {"low": low, "high": high, "shares": shares}


def _merged(groups: dict[str, str]) -> list[tuple[str, list[str]]]:
    joined: dict[str, list[str]] = {}
    for group, kept in groups.items():
        joined.setdefault(kept, []).append(group)
    return sorted(joined.items(), key=lambda item: -len(item[1]))

"""Is a dataset fit to train on? Duplicates, balance and the shortcut audit, as a verdict and a report."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from bonafide import files
from bonafide.data.audited import Audited, Words
from bonafide.data.dataset import ALL, DatasetInfo, paths, read, read_info, schema
from bonafide.data.duplicates import exact_duplicates
from bonafide.data.report import render
from bonafide.data.telling import CHANCE, ERRORS, ShortcutAudit
from bonafide.data.verdict import VALIDATION_REPORT, VERDICT, AuditCheck, Excluded, ValidationVerdict
from bonafide.modality import NOUNS, arm
from bonafide.task import Validation

DUPLICATE = "duplicate"
CONFLICT = "conflicting-labels"

_ASIDE = ("test", "holdout", "val", "train", None)


def validate(dataset: Path, out: Path, config: Validation, seed: int, title: str = "") -> ValidationVerdict:
    """Check a dataset and write ``out/validation.json`` and ``out/validation.html``.

    Of exact duplicates the first stays, or the first that the source gives as test, holdout or val; if their
    labels conflict, none does. Near duplicates all stay, but their groups are merged: a split places them
    together unless it placed them before. The verdict says whether the checks passed;
    :func:`bonafide.data.verdict.refuse_failed` stops a dataset that is not fit, as the split does.

    Args:
        title: of the task, for the report.

    Raises:
        DataError: there is no dataset.
    """
    info = read_info(dataset)
    rows = read(dataset, ALL, ["label_name", "sha256", "given"]).to_pydict() | {"path": paths(dataset, ALL)}
    count = len(rows["sha256"])
    excluded = _exclude(rows)
    kept = np.setdiff1d(np.arange(count), [each.row for each in excluded])
    audited: Audited = arm(info.modality, "audit")(dataset, kept, config, seed)
    checks = _check(Counter(rows["label_name"][row] for row in kept), info, audited, config)
    verdict = ValidationVerdict(
        dataset_digest=info.digest,
        passed=all(check.passed for check in checks),
        checks=tuple(checks),
        excluded=tuple(excluded),
        merged_groups=dict(audited.merged_groups),
        quarantined_share=len(info.quarantined) / (len(info.quarantined) + count),
        shortcuts=audited.shortcuts,
    )
    with files.new_folder(out, VERDICT) as folder:
        files.write_json(folder / VERDICT, verdict.model_dump(mode="json"))
        page = render(info, verdict, audited, _missing(dataset), title)
        files.write_text(folder / VALIDATION_REPORT, page)
    return verdict


def _exclude(rows: dict[str, list[Any]]) -> list[Excluded]:
    excluded = []
    for same in exact_duplicates(rows["sha256"]):
        conflict = len({rows["label_name"][row] for row in same}) > 1
        first = min(same, key=lambda row: _ASIDE.index(rows["given"][row]))
        for row in same if conflict else [row for row in same if row != first]:
            other = next(each for each in same if each != row) if conflict else first
            excluded.append(
                Excluded(
                    row=row,
                    sha256=rows["sha256"][row],
                    path=rows["path"][row],
                    reason=CONFLICT if conflict else DUPLICATE,
                    of=rows["path"][other],
                )
            )
    return sorted(excluded, key=lambda each: each.row)


def _check(
    remaining: Counter[str], info: DatasetInfo, audited: Audited, config: Validation
) -> list[AuditCheck]:
    noun, counts = NOUNS[info.modality], {label: remaining[label] for label in info.labels}
    rarest, commonest = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
    ratio = counts[commonest] / max(1, counts[rarest])
    checks = [
        AuditCheck(
            name="minimum-per-label",
            passed=counts[rarest] >= config.minimum_per_label,
            measured=counts[rarest],
            required=config.minimum_per_label,
            why=f"{rarest!r} has {counts[rarest]} usable {noun}s, {config.minimum_per_label} are required",
        ),
        AuditCheck(
            name="class-balance",
            passed=ratio <= config.maximum_imbalance,
            measured=ratio,
            required=config.maximum_imbalance,
            why=f"the largest class has {counts[commonest]}, the smallest ({rarest!r}) "
            f"{counts[rarest]} {noun}s: {ratio:.1f} times, {config.maximum_imbalance:g} times is allowed",
        ),
    ]
    if audited.shortcuts is None:
        return checks
    return [*checks, shortcut_check(audited.shortcuts, audited.words, config.shortcut_limit)]


def shortcut_check(shortcuts: ShortcutAudit, words: Words, limit: float) -> AuditCheck:
    """What is sure must keep the limit; few groups make little sure, so no value may pass halfway to 1."""
    halfway = (1 + limit) / 2
    sure = shortcuts.highest.value <= halfway
    worst, fact = shortcuts.worst if sure else shortcuts.highest, shortcuts.worst_fact
    alone = shortcuts.by_fact[fact]
    passed = sure and worst.low <= limit
    advice = f"; the most telling fact is {fact!r} with {alone.value:.2f} for {alone.label!r}: {words.advice}"
    return AuditCheck(
        name="shortcuts",
        passed=passed,
        measured=worst.low if sure else worst.value,
        required=limit if sure else halfway,
        why=f"{words.alone.format(fact=shortcuts.named(worst))} {worst.label!r} from the rest with balanced "
        f"accuracy {worst.value:.2f}, or {worst.low:.2f} after taking off {ERRORS} standard errors "
        f"(chance {CHANCE:.2f}; {limit:.2f} is allowed after that, {halfway:.2f} before)"
        f"{'' if passed else advice}",
    )


def _missing(dataset: Path) -> dict[str, int]:
    """Missing values by column, leaving out the inputs themselves and a split that need not be given."""
    columns = [each.name for each in schema(dataset, ALL) if not pa.types.is_struct(each.type)]
    table = read(dataset, ALL, [name for name in columns if name != "given"])
    return {name: table[name].null_count for name in table.column_names}

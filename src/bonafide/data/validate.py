"""Is a dataset fit to train on? Duplicates, balance and the shortcut audit, as a verdict and a report."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonafide import files
from bonafide.data.dataset import ALL, SCHEMA, images, read, read_info
from bonafide.data.duplicates import exact_duplicates, near_pairs
from bonafide.data.report import render
from bonafide.data.shortcuts import CHANCE, ERRORS, Facts, ShortcutAudit, audit, file_facts
from bonafide.data.verdict import VALIDATION_REPORT, VERDICT, AuditCheck, Excluded, ValidationVerdict
from bonafide.task import Validation

AUDITED = 50_000
SHOWN = 8

DUPLICATE = "duplicate"
CONFLICT = "conflicting-labels"

_ASIDE = ("test", "holdout", "val", "train", None)


def validate(dataset: Path, out: Path, config: Validation, seed: int) -> ValidationVerdict:
    """Check a dataset and write ``out/validation.json`` and ``out/validation.html``.

    Of exact duplicates the first stays, or the first that the source gives as test, holdout or val; if their
    labels conflict, none does. Near duplicates all stay, but their groups are merged: a split places them
    together unless it placed them before. The verdict says whether the checks passed;
    :func:`bonafide.data.verdict.refuse_failed` stops a dataset that is not fit, as the split does.

    Raises:
        DataError: there is no dataset.
    """
    info = read_info(dataset)
    table = read(dataset, ALL, ["image.path", "label_name", "sha256", "phash", "group", "given"])
    rows = table.to_pydict()
    excluded = _exclude(rows)
    kept = np.setdiff1d(np.arange(table.num_rows), [image.row for image in excluded])
    facts, samples = _scan(dataset, kept, rows["label_name"], seed)
    shortcuts = _audit(facts, rows, seed)
    remaining = Counter(rows["label_name"][row] for row in kept)
    checks = _check(remaining, info.labels, shortcuts, config)
    verdict = ValidationVerdict(
        dataset_digest=info.digest,
        passed=all(check.passed for check in checks),
        checks=tuple(checks),
        excluded=tuple(excluded),
        merged_groups=merge_groups(rows["phash"], rows["group"], config.near_duplicate_distance),
        quarantined_share=len(info.quarantined) / (len(info.quarantined) + table.num_rows),
        shortcuts=shortcuts,
    )
    with files.new_folder(out, VERDICT) as folder:
        files.write_json(folder / VERDICT, verdict.model_dump(mode="json"))
        labelled = [(rows["label_name"][row], fact) for row, fact in facts.items()]
        page = render(info, verdict, labelled, samples, _missing(dataset))
        files.write_text(folder / VALIDATION_REPORT, page)
    return verdict


def merge_groups(hashes: list[str], groups: list[str], distance: int) -> dict[str, str]:
    """Groups that share near duplicates, each mapped to the first name among those joined with it.

    Joining is transitive (connected components); groups that stay alone are not listed.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    names, group_of = np.unique(np.array(groups, dtype=object), return_inverse=True)
    values = np.array([int(value, 16) for value in hashes], dtype=np.uint64)
    distinct, hash_of = np.unique(values, return_inverse=True)
    near = near_pairs(distinct, distance) + len(names)
    start = np.concatenate([group_of, near[:, 0]])
    end = np.concatenate([hash_of + len(names), near[:, 1]])
    nodes = len(names) + len(distinct)
    edges = coo_array((np.ones(len(start), dtype=bool), (start, end)), shape=(nodes, nodes))
    component = connected_components(edges, directed=False)[1][: len(names)]
    first = {part: index for index, part in reversed(list(enumerate(component.tolist())))}
    return {
        str(name): str(names[first[part]])
        for index, (name, part) in enumerate(zip(names, component.tolist(), strict=True))
        if first[part] != index
    }


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
    return sorted(excluded, key=lambda image: image.row)


def _scan(
    dataset: Path, kept: NDArray[np.int64], labels: list[str], seed: int
) -> tuple[dict[int, Facts], dict[str, list[bytes]]]:
    """One pass over the files: facts by row, of a sample where there are many, and a few files a label."""
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(kept)
    audited = set(shuffled[:AUDITED].tolist())
    shown: dict[str, list[int]] = {}
    for row in shuffled.tolist():
        if len(members := shown.setdefault(labels[row], [])) < SHOWN:
            members.append(row)
    facts: dict[int, Facts] = {}
    samples: dict[str, list[bytes]] = {label: [] for label in sorted(shown)}
    for row, (_, content) in enumerate(images(dataset, ALL)):
        if row in audited:
            facts[row] = file_facts(content)
        if row in shown.get(labels[row], ()):
            samples[labels[row]].append(content)
    return facts, samples


def _audit(facts: dict[int, Facts], rows: dict[str, list[Any]], seed: int) -> ShortcutAudit | None:
    """None where there is too little to cross-validate on."""
    labels = [rows["label_name"][row] for row in facts]
    rarest = min(Counter(labels).values(), default=0)
    if len(set(labels)) < 2 or rarest < 2:
        return None
    return audit(facts.values(), labels, [rows["group"][row] for row in facts], seed)


def _check(
    remaining: Counter[str], labels: tuple[str, ...], shortcuts: ShortcutAudit | None, config: Validation
) -> list[AuditCheck]:
    counts = {label: remaining[label] for label in labels}
    rarest, commonest = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
    ratio = counts[commonest] / max(1, counts[rarest])
    checks = [
        AuditCheck(
            name="minimum-per-label",
            passed=counts[rarest] >= config.minimum_per_label,
            measured=counts[rarest],
            required=config.minimum_per_label,
            why=f"{rarest!r} has {counts[rarest]} usable images, {config.minimum_per_label} are required",
        ),
        AuditCheck(
            name="class-balance",
            passed=ratio <= config.maximum_imbalance,
            measured=ratio,
            required=config.maximum_imbalance,
            why=f"the largest class has {counts[commonest]}, the smallest ({rarest!r}) "
            f"{counts[rarest]} images: {ratio:.1f} times, {config.maximum_imbalance:g} times is allowed",
        ),
    ]
    return checks if shortcuts is None else [*checks, _shortcut_check(shortcuts, config.shortcut_limit)]


def _shortcut_check(shortcuts: ShortcutAudit, limit: float) -> AuditCheck:
    """What is sure must keep the limit; few groups make little sure, so no value may pass halfway to 1."""
    halfway = (1 + limit) / 2
    sure = shortcuts.highest.value <= halfway
    worst, fact = shortcuts.worst if sure else shortcuts.highest, shortcuts.worst_fact
    alone = shortcuts.by_fact[fact]
    passed = sure and worst.low <= limit
    advice = (
        f"; the most telling fact is {fact!r} with {alone.value:.2f} for {alone.label!r}: encode all classes "
        "alike, or remove the difference, and ingest again"
    )
    return AuditCheck(
        name="shortcuts",
        passed=passed,
        measured=worst.low if sure else worst.value,
        required=limit if sure else halfway,
        why=f"facts of the file alone tell {worst.label!r} from the rest with balanced accuracy "
        f"{worst.value:.2f}, or {worst.low:.2f} after taking off {ERRORS} standard errors "
        f"(chance {CHANCE:.2f}; {limit:.2f} is allowed after that, {halfway:.2f} before)"
        f"{'' if passed else advice}",
    )


def _missing(dataset: Path) -> dict[str, int]:
    """Missing values by column, leaving out the images and a split that need not be given."""
    table = read(dataset, ALL, [name for name in SCHEMA.names if name not in ("image", "given")])
    return {name: table[name].null_count for name in table.column_names}

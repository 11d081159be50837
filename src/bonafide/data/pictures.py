"""The audit of images: near duplicates, and whether facts of the file alone tell the label."""

import base64
from collections import Counter
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bonafide.data.audited import Audited, Shares, Words
from bonafide.data.dataset import ALL, images, read, read_info
from bonafide.data.decoding import decode
from bonafide.data.duplicates import near_pairs
from bonafide.data.report import histogram
from bonafide.data.shortcuts import FACTS, Facts, audit_files, file_facts
from bonafide.data.telling import AUDITED, ShortcutAudit, enough
from bonafide.task import Validation

SHOWN = 8
THUMBNAIL = 112
VALUES = 6
SIZES = {"width": "Width in pixels", "height": "Height in pixels", "content_size": "File size in bytes"}
WORDS = Words(
    alone="facts of the file alone tell",
    advice="encode all classes alike, or remove the difference, and ingest again",
    shortcuts="by facts of the file, without seeing the picture",
    note="The size in bytes of equally encoded pictures follows what they show, so it is measured but not "
    "judged.",
    same="byte for byte",
    apart="No near duplicates across groups.",
    item="file",
    sound="Every file could be read.",
    facts="Files",
    look="The commonest values of each fact, and the share of every class that has them. A fact should look "
    "alike for all classes.",
)


def audit(dataset: Path, kept: NDArray[np.int64], config: Validation, seed: int) -> Audited:
    """Near duplicates join groups; facts of the files are held against the labels, of a sample if need be.

    Args:
        dataset: what was ingested.
        kept: the images that are not left out.
        config: how near duplicates may be.
        seed: of the sample, the folds and the trees.

    Raises:
        DataError: there is no dataset.
    """
    labels = read_info(dataset).labels
    rows = read(dataset, ALL, ["label_name", "phash", "group"]).to_pydict()
    facts, samples = _scan(dataset, kept, rows["label_name"], seed)
    labelled = [(rows["label_name"][row], fact) for row, fact in facts.items()]
    return Audited(
        words=WORDS,
        shortcuts=_shortcuts(facts, rows, seed),
        histograms=[
            histogram(
                title, {label: [fact[name] for owner, fact in labelled if owner == label] for label in labels}
            )
            for name, title in SIZES.items()
        ],
        merged_groups=merge_groups(rows["phash"], rows["group"], config.near_duplicate_distance),
        thumbnails={label: [thumbnail(file) for file in samples.get(label, [])] for label in labels},
        facts={fact: _by_label(labelled, fact, labels) for fact in FACTS},
    )


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


def thumbnail(content: bytes) -> str:
    """A ``data:`` URI of the image, its longer side at most 112 pixels; small images are not enlarged."""
    image = Image.fromarray(decode(content).pixels)
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = BytesIO()
    image.save(buffer, "WEBP", quality=85)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


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


def _shortcuts(facts: dict[int, Facts], rows: dict[str, list[Any]], seed: int) -> ShortcutAudit | None:
    labels = [rows["label_name"][row] for row in facts]
    if not enough(labels):
        return None
    return audit_files(facts.values(), labels, [rows["group"][row] for row in facts], seed)


def _by_label(facts: list[tuple[str, Facts]], fact: str, labels: tuple[str, ...]) -> Shares:
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

"""Small data of any task, on which its whole story can be told in a minute."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from bonafide.sources.manifest import MANIFEST
from bonafide.task import Task
from tests.data.pictures import encode, picture

SIZE, EACH, COLOURS = 32, 90, 3
SMALL = {
    "image": (
        "split={val: 0.3, test: 0.3}",
        "model={architecture: forensic_cnn, input_size: 32, epochs: 6, batch_size: 16, learning_rate: 0.01}",
        "validation.shortcut_limit=1",
        "evaluation={bootstrap_samples: 100, robustness_images: 10}",
        "gate.minimum_groups=5",
        "gate.minimum_per_label=5",
    ),
    "table": ("evaluation.bootstrap_samples=100",),
}


class Data(NamedTuple):
    """Where the data are that a task is told of, what is asked about later, and what is changed about those.

    ``source`` is empty for a task that brings its own data.
    """

    source: str
    known: Path
    changed: Path


def make(task: Task, folder: Path) -> Data:
    """Write data that the labels of a task can be told by."""
    return _pictures(task, folder) if task.modality == "image" else _rows(task, folder)


def _pictures(task: Task, folder: Path) -> Data:
    """Each label has a colour; changed pictures are dark negatives of the others."""
    source, known, changed = (folder / name for name in ("source", "known", "changed"))
    numbers = range(EACH * len(task.labels))
    manifest = []
    for number in numbers:
        label = task.labels[number % len(task.labels)]
        _write(source / label / f"{number}.jpg", _coloured(number, len(task.labels)))
        manifest.append({"path": f"{label}/{number}.jpg", **_told(task, label)})
        later = _coloured(10_000 + number, len(task.labels))
        place = f"{task.labels[(10_000 + number) % len(task.labels)]}/{number}.jpg"
        _write(known / place, later)
        _write(changed / place, (255 - later) // 3)
    with (source / MANIFEST).open("w", newline="") as stream:
        writer = csv.DictWriter(stream, ["path", "source", "generator"])
        writer.writeheader()
        writer.writerows(manifest)
    return Data(str(source), known, changed)


def _told(task: Task, label: str) -> dict[str, str]:
    """What a manifest says of an image, so that its label follows from what the task takes it from."""
    source = task.sources[0]
    given = {known: name for name, known in getattr(source, "labels", {}).items()}.get(label, label)
    by = getattr(source, "label_from", "class")
    generator = label if by == "class" and label != task.labels[0] else given if by == "generator" else ""
    return {"source": given if by == "source" else "made", "generator": generator.replace("none", "")}


def _coloured(number: int, labels: int) -> np.ndarray:
    shade = np.asarray(picture(number, SIZE, SIZE)).astype(np.float32) / 2
    code = number % labels + 1
    tint = [110.0 * (code >> bit & 1) for bit in range(COLOURS)]
    return (shade + tint).clip(0, 255).astype(np.uint8)


def _write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(Image.fromarray(pixels), quality=95))


def _rows(task: Task, folder: Path) -> Data:
    """The task's own rows, near which others are; changed ones are more by three deviations in one column."""
    from bonafide.delivery.demo.imitated import rows

    names = [feature.name for feature in task.features]
    known = rows(task, folder, 300)
    with known.open() as stream:
        found = list(csv.DictReader(stream))
    values = np.array([[float(row[name]) for name in names] for row in found])
    values[:, -1] += np.ceil(3 * values[:, -1].std())  # whole numbers stay whole
    changed = folder / "changed.csv"
    with changed.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow([*names, "label"])
        writer.writerows([*map(float, row), told["label"]] for row, told in zip(values, found, strict=True))
    return Data("", known, changed)


def options(task: Task) -> Sequence[str]:
    """Settings with which it takes a minute."""
    return [word for setting in SMALL[task.modality] for word in ("--set", setting)]

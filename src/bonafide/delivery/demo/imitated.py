"""What the demonstration of rollouts asks about: many inputs, as different as they can be."""

import csv
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt

from bonafide.modality import arm
from bonafide.task import Task

SIZE, SEED = 64, 1
NEAR = 0.1
"""How far a row moves, in standard deviations of its column."""


def pictures(_: Task, out: Path, count: int) -> Path:
    """Write patches of photographs, half of them blurred, so that answers differ.

    Returns:
        a folder.
    """
    from PIL import Image, ImageFilter

    from bonafide.sources.sample import cut

    folder = out / "images"
    folder.mkdir()
    for number, patch in enumerate(cut(count, SIZE, SEED)[1]):
        image = Image.fromarray(patch)
        blurred = image.filter(ImageFilter.GaussianBlur(1.5)) if number % 2 else image
        blurred.save(folder / f"{number}.jpg", quality=95)
    return folder


def rows(task: Task, out: Path, count: int) -> Path:
    """Write rows near those of the task's sources, within the ranges of the columns.

    Returns:
        a file.

    Raises:
        DataError: the sources cannot be read.
    """
    from bonafide.data import dataset

    with TemporaryDirectory() as scratch:
        known = Path(scratch) / "dataset"
        arm(task.modality, "read")(task.sources, task.labels, known, task.seed, task.features)
        values = dataset.rows(known, "all")
        labels = dataset.read(known, "all", ["label_name"])["label_name"].to_pylist()
    random = np.random.default_rng(SEED)
    chosen = random.integers(len(values), size=count)
    moved = values[chosen] + random.normal(0, NEAR, (count, values.shape[1])) * values.std(axis=0)
    path = out / "rows.csv"
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow([*(feature.name for feature in task.features), "label"])
        for row, number in zip(_fitted(moved, task), chosen, strict=True):
            writer.writerow([*row, labels[number]])
    return path


def _fitted(values: npt.NDArray[np.float64], task: Task) -> npt.NDArray[np.float64]:
    features = task.features
    low = [-np.inf if each.low is None else each.low for each in features]
    high = [np.inf if each.high is None else each.high for each in features]
    whole = [each.whole for each in features]
    short = np.array([[float(f"{value:.4g}") for value in row] for row in values])
    return np.where(whole, values.round(), short).clip(low, high)

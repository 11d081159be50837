"""Traffic for the loop: images that no training saw, also from a generator that training does not know."""

import csv
import os
from dataclasses import dataclass
from pathlib import Path

from bonafide.sources.sample import LABELS, MANIFEST, build_sample
from bonafide.task import Task

MORE = 16_200
JUDGED_OF = 2
"""Of the images like the new traffic, one in so many is kept to judge both versions by."""


@dataclass(frozen=True)
class Traffic:
    """Folders of images, whose sub-folders are labels.

    Attributes:
        known: from generators that training knows.
        new: photographs, and fakes of the generator that training never saw.
        judged: like ``new``; nobody is asked about them before both versions are judged.
    """

    known: Path
    new: Path
    judged: Path


def make(folder: Path, task: Task) -> Traffic:
    """Images beyond those that the task's sample has, from the same generators.

    Args:
        task: whose source is the sample, and which holds one generator out.
    """
    [source] = task.sources
    assert source.kind == "sample"
    [unseen] = task.split.held_out_generators
    sample = build_sample(
        folder / "sample", source.images + MORE, source.size, task.seed, taught=source.images
    )
    traffic = Traffic(folder / "known", folder / "new", folder / "judged")
    with (sample / MANIFEST).open() as stream:
        entries = list(csv.DictReader(stream))
    for entry in entries:
        label, name = entry["path"].split("/")
        number = int(name.removesuffix(".jpg").rpartition("-")[2])
        if number >= source.images // len(LABELS):
            role = getattr(traffic, _role(entry["generator"], unseen, number))
            (role / label).mkdir(parents=True, exist_ok=True)
            os.link(sample / entry["path"], role / label / name)
    return traffic


def _role(generator: str, unseen: str, number: int) -> str:
    if generator not in ("", unseen) or (not generator and number % 2):
        return "known"
    return "new" if number // 2 % JUDGED_OF else "judged"

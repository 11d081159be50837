"""Two versions on the same images, which no training saw."""

import csv
from dataclasses import dataclass
from pathlib import Path

from bonafide.batch.run import score
from bonafide.home import trusted_keys
from bonafide.registry import packages, versions
from bonafide.serving.compute.engine import Engine


@dataclass(frozen=True)
class Judged:
    """Of how many images each version had how many right, and how many only one of them."""

    images: int
    right: tuple[int, int]
    only: tuple[int, int]


def judge(task: str, images: Path, out: Path) -> Judged:
    """Let versions 1 and 2 answer; ``out`` gets a table of each one's answers.

    Args:
        images: a folder whose sub-folders are labels.
    """
    first, second = (_right(task, number, images, out / f"judged-{number}.csv") for number in ("1", "2"))
    both = len(first & second)
    count = sum(1 for path in images.rglob("*") if path.is_file())
    return Judged(count, (len(first), len(second)), (len(first) - both, len(second) - both))


def _right(task: str, number: str, images: Path, out: Path) -> set[str]:
    engine = Engine(packages.fetch(versions.get(task, number)), trusted_keys(), threads=1)
    score(str(images), out, engine, number, kind="csv", overwrite=True)
    with out.open(newline="") as stream:
        return {
            row["path"] for row in csv.DictReader(stream) if Path(row["path"]).parent.name == row["label"]
        }

"""Images of the sample, and what the demo's model says of them as they are and changed."""

import csv
import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bonafide.cores import available_cores
from bonafide.data.decoding import decode_to
from bonafide.data.looks import looks
from bonafide.drift.reference import Reference
from bonafide.feedback.window import Window
from bonafide.model.package import PackageInfo
from bonafide.model.runtime import OnnxModel
from bonafide.sources.sample import LABELS, MANIFEST, build_sample

IMAGES, SIZE, SEED, CHUNK = 6000, 64, 2, 32
NEW = "pixel-shuffle"
BRIGHTER, QUALITY = 1.25, 85
EVEN, SKEWED = (0.4, 0.3, 0.3), (0.7, 0.2, 0.1)

Change = Callable[[bytes], bytes]


def _encoded(image: Image.Image, quality: int) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality, subsampling=0)
    return stream.getvalue()


def brighter(content: bytes) -> bytes:
    """Each channel times ``BRIGHTER``, in the sample's own quality."""
    image = Image.open(io.BytesIO(content))
    return _encoded(image.point(lambda value: min(255, round(value * BRIGHTER))), 95)


def compressed(content: bytes) -> bytes:
    """Encoded again in a lower quality."""
    return _encoded(Image.open(io.BytesIO(content)), QUALITY)


@dataclass(frozen=True)
class Kind:
    """A kind of window: its mix of labels, how its images are changed, and which generator its fakes have.

    ``new`` is the share of the fakes that come from the generator that training never saw; ``apart`` draws
    reference and window from different photographs.
    """

    mix: tuple[float, ...] = EVEN
    change: str = "as is"
    new: float = 0.0
    apart: bool = False


CHANGES: dict[str, Change] = {"as is": lambda content: content, "brighter": brighter, "jpeg": compressed}


@dataclass(frozen=True)
class Answers:
    """Of all images: probabilities, embeddings and statistics, aligned."""

    probabilities: NDArray[np.float32]
    embeddings: NDArray[np.float32]
    statistics: dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Material:
    """Truth, generator and region of a photograph for each image, and the answers by change."""

    info: PackageInfo
    label: NDArray[np.int64]
    new: NDArray[np.bool_]
    group: NDArray[np.int64]
    answers: dict[str, Answers]

    def accuracy(self) -> float:
        """Of the images of known generators, as they are."""
        right = self.answers["as is"].probabilities.argmax(1) == self.label
        return float(right[~self.new].mean())

    def pair(
        self, kind: Kind, references: int, count: int, random: np.random.Generator
    ) -> tuple[Reference, Window]:
        """A reference and a window that share no image; without change both are of one distribution."""
        half = random.permutation(self.group.max() + 1)[: (self.group.max() + 1) // 2]
        first = np.isin(self.group, half) if kind.apart else np.ones(len(self.label), bool)
        known = self._draw(references, EVEN, 0, first, random)
        rest = ~first if kind.apart else ~np.isin(np.arange(len(self.label)), known)
        seen = self._draw(count, kind.mix, kind.new, rest, random)
        return self._reference(known), self._window(seen, self.answers[kind.change])

    def _draw(
        self,
        count: int,
        mix: tuple[float, ...],
        new: float,
        allowed: NDArray[np.bool_],
        random: np.random.Generator,
    ) -> NDArray[np.int64]:
        labels = random.choice(len(mix), count, p=mix)
        unseen = (labels > 0) & (random.uniform(size=count) < new)
        rows = []
        for label in range(len(mix)):
            for which in (False, True):
                wanted = int(((labels == label) & (unseen == which)).sum())
                pool = np.flatnonzero(allowed & (self.label == label) & (self.new == which))
                rows.append(random.choice(pool, wanted, replace=False))
        return random.permutation(np.concatenate(rows))

    def _reference(self, rows: NDArray[np.int64]) -> Reference:
        answers = self.answers["as is"]
        return Reference(
            self.info,
            answers.probabilities[rows],
            self.label[rows],
            answers.embeddings[rows],
            self.group[rows],
            {name: values[rows] for name, values in answers.statistics.items()},
        )

    def _window(self, rows: NDArray[np.int64], answers: Answers) -> Window:
        count, shares = len(rows), answers.probabilities[rows]
        return Window(
            names=self.info.labels,
            ids=rows.astype(np.str_),
            times=np.arange(count, dtype=np.float64),
            versions=np.full(count, "1"),
            labels=np.array(self.info.labels)[shares.argmax(1)],
            confidences=shares.max(1),
            probabilities=shares,
            embeddings=answers.embeddings[rows],
            embedded=np.ones(count, bool),
            statistics={name: values[rows] for name, values in answers.statistics.items()},
        )


def load(model: OnnxModel, info: PackageInfo, folder: Path) -> Material:
    """Build the sample in ``folder``, with another seed than the demo's, and ask the model about it."""
    if info.labels != LABELS:
        raise SystemExit(f"the model has the labels {info.labels}; run `make demo` first")
    if not folder.exists():
        build_sample(folder, IMAGES, SIZE, SEED)
    with (folder / MANIFEST).open() as stream:
        entries = list(csv.DictReader(stream))
    contents = [(folder / entry["path"]).read_bytes() for entry in entries]
    return Material(
        info,
        np.array([LABELS.index(entry["path"].split("/")[0]) for entry in entries]),
        np.array([entry["generator"] == NEW for entry in entries]),
        np.unique([entry["group"] for entry in entries], return_inverse=True)[1],
        {name: _ask(model, change, contents) for name, change in CHANGES.items()},
    )


def _ask(model: OnnxModel, change: Change, contents: list[bytes]) -> Answers:
    def ask(start: int) -> tuple[dict[str, NDArray[np.float32]], list[dict[str, float]]]:
        files = [change(content) for content in contents[start : start + CHUNK]]
        pixels = np.stack([decode_to(file, model.info.image.size) for file in files])
        return model.run(pixels, ("probabilities", "embedding")), [looks(file) for file in files]

    with ThreadPoolExecutor(available_cores()) as pool:
        parts = list(pool.map(ask, range(0, len(contents), CHUNK)))
    facts = [fact for _, found in parts for fact in found]
    return Answers(
        np.concatenate([answer["probabilities"] for answer, _ in parts]),
        np.concatenate([answer["embedding"] for answer, _ in parts]),
        {name: np.array([fact[name] for fact in facts]) for name in facts[0]},
    )

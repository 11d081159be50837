"""A world of three classes whose embeddings are normal, and whose probabilities are the true ones."""

from io import BytesIO
from pathlib import Path

import numpy as np

from bonafide.feedback.window import Window
from bonafide.model import package, signing
from bonafide.model.info import MODEL
from bonafide.model.package import REFERENCE, STATISTIC
from tests import packages

LABELS, EVEN, SKEWED = packages.LABELS, (0.4, 0.3, 0.3), (0.8, 0.15, 0.05)
SIZE, APART = 6, 2.0


def draw(random: np.random.Generator, count: int, mix=EVEN, moved: float = 0.0, apart: float = APART):
    """Embeddings [N, 6], truth [N] and probabilities [N, 3]; ``moved`` along an axis that tells no class."""
    label = random.choice(len(LABELS), count, p=mix)
    middles = apart * np.eye(len(LABELS), SIZE)
    embedding = (middles[label] + random.normal(size=(count, SIZE))).astype(np.float32)
    embedding[:, -1] += moved
    logits = -((embedding[:, None] - middles) ** 2).sum(2) / 2
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return embedding, label, (powers / powers.sum(1, keepdims=True)).astype(np.float32)


def window(random: np.random.Generator, count: int, **how) -> Window:
    embedding, _, probabilities = draw(random, count, **how)
    return Window(
        names=LABELS,
        ids=np.array([f"id-{number}" for number in range(count)], np.str_),
        times=1.8e9 + np.arange(count, dtype=np.float64),
        versions=np.full(count, "3"),
        labels=np.array(LABELS)[probabilities.argmax(1)] if count else np.array([], np.str_),
        confidences=probabilities.max(1, initial=0),
        probabilities=probabilities,
        embeddings=embedding,
        embedded=np.ones(count, bool),
        statistics={"brightness": random.uniform(size=count), "jpeg_quality": np.full(count, np.nan)},
    )


def reference(random: np.random.Generator, count: int = 500) -> dict[str, np.ndarray]:
    embedding, label, probabilities = draw(random, count)
    return {
        "embedding": embedding,
        "probabilities": probabilities,
        "label": label,
        "group": np.arange(count),
        f"{STATISTIC}brightness": random.uniform(size=count),
        f"{STATISTIC}jpeg_quality": np.full(count, 90.0),
    }


def make(folder: Path, arrays: dict[str, np.ndarray] | None, name: str = "package") -> Path:
    """A signed package with these arrays as its reference; without any if None."""
    files: dict[str, bytes] = {MODEL: packages.graph()}
    if arrays is not None:
        stream = BytesIO()
        np.savez(stream, **arrays)
        files[REFERENCE] = stream.getvalue()
    package.build(folder / name, packages.info(), files, signing.ensure_key(folder / "keys").private)
    return folder / name

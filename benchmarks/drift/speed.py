"""How long `bonafide drift check` takes of many predictions, from its start to its end."""

import io
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from bonafide.cores import available_cores
from bonafide.drift.window import write_window
from bonafide.feedback.window import Window
from bonafide.home import PUBLIC_KEY
from bonafide.model.info import MODEL
from bonafide.model.package import REFERENCE, STATISTIC, PackageInfo, build
from bonafide.model.signing import ensure_key

PREDICTIONS, MANY, COLUMNS = 10_000, 5_000, 32
STATISTICS = ("width", "height", "brightness", "jpeg_quality")


def measure(package: Path, info: PackageInfo) -> dict[str, float]:
    """Seconds on the wall and of the processors, for normal embeddings with the model's own labels."""
    random = np.random.default_rng(0)
    info = info.model_copy(update={"embedding_size": COLUMNS})
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        key = ensure_key(folder / "keys")
        stream = io.BytesIO()
        np.savez(stream, allow_pickle=False, **_reference(random, len(info.labels)))
        files = {MODEL: package / MODEL, REFERENCE: stream.getvalue()}
        build(folder / "package", info, files, key.private)
        write_window(folder / "window.npz", _window(random, info.labels))
        options = {"input": "window.npz", "reference": "package", "out": "drift"}
        arguments = [f"--{name}={folder / path}" for name, path in options.items()]
        command = [sys.executable, "-m", "bonafide", "drift", "check", f"--task={info.task}", *arguments]
        begin, before = time.monotonic(), os.times()
        subprocess.run(
            command, check=True, capture_output=True, env=os.environ | {PUBLIC_KEY: str(key.public)}
        )
        after = os.times()
        used = sum(after[2:4]) - sum(before[2:4])
        return {"seconds": time.monotonic() - begin, "cpu": used, "cores": available_cores()}


def _answers(random: np.random.Generator, count: int, labels: int) -> dict[str, np.ndarray]:
    label = random.integers(labels, size=count)
    logits = random.normal(size=(count, labels)) + 4 * np.eye(labels)[label]
    powers = np.exp(logits)
    embedding = random.normal(size=(count, COLUMNS)) + np.pad(logits, ((0, 0), (0, COLUMNS - labels)))
    return {
        "label": label,
        "probabilities": (powers / powers.sum(1, keepdims=True)).astype(np.float32),
        "embedding": embedding.astype(np.float32),
    }


def _reference(random: np.random.Generator, labels: int) -> dict[str, np.ndarray]:
    facts = {STATISTIC + name: random.normal(size=MANY) for name in STATISTICS}
    return _answers(random, MANY, labels) | facts | {"group": np.arange(MANY)}


def _window(random: np.random.Generator, labels: tuple[str, ...]) -> Window:
    answers = _answers(random, PREDICTIONS, len(labels))
    shares = answers["probabilities"]
    return Window(
        names=labels,
        ids=np.arange(PREDICTIONS).astype(np.str_),
        times=np.arange(PREDICTIONS, dtype=np.float64),
        versions=np.full(PREDICTIONS, "1"),
        labels=np.array(labels)[shares.argmax(1)],
        confidences=shares.max(1),
        probabilities=shares,
        embeddings=answers["embedding"],
        embedded=np.ones(PREDICTIONS, bool),
        statistics={name: random.normal(size=PREDICTIONS) for name in STATISTICS},
    )

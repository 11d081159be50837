import itertools
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from bonafide.feedback.prediction import Prediction
from bonafide.feedback.store import Store

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
LABELS = ("real", "ai-generated", "deepfake")
KINDS = ("sqlite", "postgresql")
numbers = itertools.count()


def prediction(number: int = 0, **changes) -> Prediction:
    """The one of that number: a minute after the one before it, and unlike it."""
    label = LABELS[number % 3]
    settings = {
        "id": f"p-{number}",
        "time": NOON + timedelta(minutes=number),
        "task": "authenticity",
        "version": "7",
        "label": label,
        "uncertain": number % 5 == 0,
        "probabilities": {name: 0.8 if name == label else 0.1 for name in LABELS},
        "predictor": "v7",
        "latency_ms": 12.5,
        "embedding": np.full(4, number, "<f4").tobytes(),
        "sha256": f"{number:064x}",
        "statistics": {"width": 64, "height": 48, "brightness": 0.5, "jpeg_quality": 75},
    }
    return Prediction(**(settings | changes))


@pytest.fixture(params=KINDS)
def address(request, tmp_path):
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/folder/store.db"
    server, name = request.getfixturevalue("postgresql"), f"store_{next(numbers)}"
    server.execute(f"CREATE DATABASE {name}")
    return server.address(name)


@pytest.fixture
def store(address):
    made = Store(address)
    made.database.migrate()
    yield made
    made.database.close()

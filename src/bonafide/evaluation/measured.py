"""What an evaluation wrote, read back; without torch, so that later steps start quickly."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bonafide.evaluation.metrics import Metrics
from bonafide.evaluation.robustness import Degraded
from bonafide.task import Config

SPLIT = "test"
MEASURED, PREDICTIONS = "evaluation.json", "predictions.parquet"
EVALUATION_REPORT = "evaluation.html"


class Measured(Config):
    """``evaluation.json``: all that was measured. ``unseen`` are generators that training never saw."""

    metrics: Metrics
    robustness: tuple[Degraded, ...]
    latency_ms: float
    unseen: tuple[str, ...]

    def headline(self) -> dict[str, float]:
        """The figures that run lists show."""
        names = ("accuracy", "balanced_accuracy", "macro_f1", "auroc", "average_precision", "ece")
        return {name: getattr(self.metrics, name).value for name in names}


@dataclass(frozen=True)
class Predictions:
    """Arrays: truth int64 [N], groups int64 [N], probabilities FP32 [N, K], embedding FP32 [N, E]."""

    truth: NDArray[np.int64]
    groups: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    embedding: NDArray[np.float32]


def read_measured(evaluation: Path) -> Measured:
    """Read ``evaluation.json`` back."""
    return Measured.model_validate_json((evaluation / MEASURED).read_bytes())


def read_predictions(evaluation: Path) -> Predictions:
    """Read ``predictions.parquet`` back."""
    table = pq.read_table(evaluation / PREDICTIONS)
    arrays = (np.array(table[name].to_pylist(), np.float32) for name in ("probabilities", "embedding"))
    return Predictions(table["label"].to_numpy(), group_numbers(table), *arrays)


def group_numbers(rows: pa.Table) -> NDArray[np.int64]:
    """The group of each row as a number, int64 [N], from 0 up without gaps."""
    return np.unique(rows["group"].to_numpy(), return_inverse=True)[1].astype(np.int64)

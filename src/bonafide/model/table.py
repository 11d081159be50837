"""Asking a graph about the rows of a dataset."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bonafide.data import dataset as datasets
from bonafide.errors import DataError
from bonafide.model.answers import Answers
from bonafide.model.info import ModelInfo
from bonafide.model.runtime import OnnxModel


def answer(model: OnnxModel, dataset: Path, split: str, outputs: Sequence[str]) -> Answers:
    """Answers for all rows of a split, in their order, by the name of the output.

    Raises:
        DataError: the split is not there, or lacks a column that the model takes.
    """
    return model.run(columns(model.info, dataset, split), outputs)


def columns(info: ModelInfo, dataset: Path, split: str) -> NDArray[np.float32]:
    """A split as the model takes it, float32 [N, C]: its columns in the model's order.

    Raises:
        DataError: the split is not there, or lacks a column that the model takes.
    """
    there = [feature.name for feature in datasets.read_info(dataset).features]
    if missing := [name for name in info.columns if name not in there]:
        raise DataError(f"{dataset} has no column {missing[0]}, which the model takes; train again")
    rows = datasets.rows(dataset, split)
    return np.ascontiguousarray(rows[:, [there.index(name) for name in info.columns]])

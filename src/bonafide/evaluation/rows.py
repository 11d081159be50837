"""Tables: which columns their answers rest on, and the numbers that drift is told by."""

from pathlib import Path

from bonafide.data import dataset as datasets
from bonafide.evaluation.examined import Asked, Examined
from bonafide.evaluation.importance import permutation_importance
from bonafide.model.table import columns


def examine(asked: Asked) -> Examined:
    """How much accuracy rests on each column."""
    info = asked.model.info
    importance = permutation_importance(
        lambda values: asked.model.run(values)["probabilities"],
        columns(info, asked.dataset, asked.split),
        [feature.name for feature in info.table.features],
        asked.truth,
        asked.seed,
    )
    return Examined(importance=importance)


def describe(dataset: Path, split: str) -> list[dict[str, float]]:
    """The columns of each row of a split, in its order.

    Raises:
        DataError: the split is not there.
    """
    names = [feature.name for feature in datasets.read_info(dataset).features]
    return [dict(zip(names, row, strict=True)) for row in datasets.rows(dataset, split).tolist()]

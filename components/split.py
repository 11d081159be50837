"""Divide a dataset into train, val and test with no group in two of them."""

from kfp.dsl import Artifact, Dataset, Input, Output

from components import component


@component
def split(
    dataset: Input[Dataset],
    validation: Input[Artifact],
    settings: dict,
    seed: int,
    splits: Output[Dataset],
):
    from pathlib import Path

    from bonafide.data import split
    from bonafide.task import Split

    info = split.split(
        Path(dataset.path),
        Path(validation.path),
        Path(splits.path),
        Split.model_validate(settings),
        seed,
    )
    splits.metadata.update(digest=info.digest, counts=info.counts, excluded=info.excluded)

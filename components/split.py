"""Divide a dataset into train, val and test; a group stays in the split where the champion had it."""

from kfp.dsl import Artifact, Dataset, Input, Output

from components import component


@component
def split(
    task: str,
    champion: dict,
    dataset: Input[Dataset],
    validation: Input[Artifact],
    settings: dict,
    seed: int,
    splits: Output[Dataset],
):
    import tempfile
    from pathlib import Path

    from bonafide.data import split
    from bonafide.data.dataset import content
    from bonafide.registry.versions import placement
    from bonafide.task import Split

    out = Path(splits.path)
    with tempfile.TemporaryDirectory() as scratch:
        info = split.split(
            Path(dataset.path),
            Path(validation.path),
            out,
            Split.model_validate(settings),
            seed,
            placed=placement(task, champion["version"], Path(scratch)),
        )
    splits.metadata.update(digest=info.digest, counts=info.counts, excluded=info.excluded)
    splits.metadata.update(content=content(out))  # the local cache knows it by this

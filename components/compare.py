"""Let the model in service answer the same images. Never cached: who is in service changes."""

from kfp.dsl import Artifact, Dataset, Input, Model, Output

from components import component


@component
def compare(
    task: str,
    model: Input[Model],
    evaluation: Input[Artifact],
    dataset: Input[Dataset],
    settings: dict,
    seed: int,
    comparison: Output[Artifact],
):
    from pathlib import Path

    from bonafide.evaluation import compare
    from bonafide.home import keys
    from bonafide.registry import versions
    from bonafide.task import Evaluation

    found = compare.compare(
        Path(model.path),
        Path(evaluation.path),
        Path(dataset.path),
        versions.champion_package(task),
        keys() / "signing.pub",
        Path(comparison.path),
        Evaluation.model_validate(settings),
        seed,
    )
    comparison.metadata.update(champion=found.champion or "none")

"""Let the champion that this run began with answer the same images."""

from kfp.dsl import Artifact, Dataset, Input, Model, Output

from components import component


@component
def compare(
    task: str,
    champion: dict,
    model: Input[Model],
    evaluation: Input[Artifact],
    dataset: Input[Dataset],
    settings: dict,
    seed: int,
    comparison: Output[Artifact],
):
    from pathlib import Path

    from bonafide.evaluation import compare
    from bonafide.home import trusted_keys
    from bonafide.registry.packages import opponent
    from bonafide.task import Evaluation

    found = compare.compare(
        Path(model.path),
        Path(evaluation.path),
        Path(dataset.path),
        opponent(task, champion["version"]),
        trusted_keys(),
        Path(comparison.path),
        Evaluation.model_validate(settings),
        seed,
    )
    comparison.metadata.update(champion=found.champion or "none")

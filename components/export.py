"""Turn a model that passed its gate into a signed package."""

from kfp.dsl import Artifact, Dataset, Input, Model, Output

from components import component


@component
def export(
    model: Input[Model],
    dataset: Input[Dataset],
    evaluation: Input[Artifact],
    comparison: Input[Artifact],
    verdict: Input[Artifact],
    task: dict,
    package: Output[Model],
):
    from pathlib import Path

    from bonafide.evaluation import export
    from bonafide.model.signing import signer
    from bonafide.task import Task

    info = export.export(
        Path(model.path),
        Path(dataset.path),
        Path(evaluation.path),
        Path(comparison.path),
        Path(verdict.path),
        Path(package.path),
        Task.model_validate(task),
        signer(),
    )
    package.metadata.update(digest=info.model_digest, data_digest=info.data_digest)

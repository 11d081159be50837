"""Record the package in the MLflow registry with its lineage; returns the version."""

from kfp.dsl import Artifact, Dataset, Input, Model

from components import component


@component
def register(
    package: Input[Model],
    dataset: Input[Dataset],
    evaluation: Input[Artifact],
    verdict: Input[Artifact],
) -> str:
    from pathlib import Path

    from bonafide.home import verifying_key
    from bonafide.registry import register

    folders = (package.path, dataset.path, evaluation.path, verdict.path)
    return register.register(*map(Path, folders), verifying_key()).number

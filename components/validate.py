"""Audit a dataset: duplicates, balance, shortcuts. Fails the run when a check fails; the report stays."""

from kfp.dsl import HTML, Artifact, Dataset, Input, Output

from components import component


@component
def validate(
    dataset: Input[Dataset],
    settings: dict,
    seed: int,
    validation: Output[Artifact],
    report: Output[HTML],
):
    import shutil
    from pathlib import Path

    from bonafide.data import validate
    from bonafide.task import Validation

    config = Validation.model_validate(settings)
    validate.validate(Path(dataset.path), Path(validation.path), config, seed)
    shutil.copyfile(Path(validation.path) / validate.VALIDATION_REPORT, report.path)

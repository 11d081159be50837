"""Audit a dataset: duplicates, balance, shortcuts. A failed check ends the run at split; the report stays."""

from kfp.dsl import HTML, Artifact, Dataset, Input, Output

from components import component


@component
def validate(
    dataset: Input[Dataset],
    settings: dict,
    title: str,
    seed: int,
    validation: Output[Artifact],
    report: Output[HTML],
):
    import shutil
    from pathlib import Path

    from bonafide.data import validate
    from bonafide.data.verdict import VALIDATION_REPORT
    from bonafide.task import Validation

    config = Validation.model_validate(settings)
    validate.validate(Path(dataset.path), Path(validation.path), config, seed, title)
    shutil.copyfile(Path(validation.path) / VALIDATION_REPORT, report.path)

"""The predictions of the version in service, and how well it does by confirmed feedback. Never cached."""

from kfp.dsl import Dataset, Input, Metrics, Model, Output

from components import component


@component
def collect(
    task: str, package: Input[Model], settings: dict, window: Output[Dataset], quality: Output[Metrics]
):
    from pathlib import Path

    from bonafide.drift.window import write_window
    from bonafide.files import write_text
    from bonafide.monitoring.collect import collect
    from bonafide.task import Monitoring

    version = package.metadata["version"]
    predictions, measured = collect(task, version, Monitoring.model_validate(settings))
    write_window(Path(window.path), predictions)
    window.metadata.update(version=version, predictions=len(predictions))
    write_text(Path(quality.path), measured.model_dump_json(indent=2))
    for name, value in measured.figures().items():
        quality.log_metric(name, value)

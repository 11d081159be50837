"""Hold a window of predictions against the model's reference; whether looks have changed. Never cached."""

from kfp.dsl import HTML, Artifact, Dataset, Input, Metrics, Model, Output

from components import DRIFT_IMAGE, component


@component(base_image=DRIFT_IMAGE)
def drift_check(
    window: Input[Dataset],
    package: Input[Model],
    settings: dict,
    drift: Output[Artifact],
    report: Output[HTML],
    metrics: Output[Metrics],
) -> bool:
    import shutil
    from pathlib import Path

    from bonafide.drift import check
    from bonafide.drift.window import read_window
    from bonafide.home import trusted_keys
    from bonafide.task import Drift

    out = Path(drift.path)
    found = check.check(
        read_window(Path(window.path)),
        Path(package.path),
        trusted_keys(),
        out,
        Drift.model_validate(settings),
        package.metadata["version"],
    )
    shutil.copyfile(out / check.DRIFT_REPORT, report.path)
    for name, value in found.headline().items():
        metrics.log_metric(name, value)
    shutil.copyfile(out / check.DRIFT, metrics.path)
    return found.looks_changed

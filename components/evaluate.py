"""Measure a model on held-out inputs: metrics with intervals, slices, calibration, robustness."""

from kfp.dsl import HTML, Artifact, ClassificationMetrics, Dataset, Input, Metrics, Model, Output

from components import component


@component
def evaluate(
    model: Input[Model],
    dataset: Input[Dataset],
    settings: dict,
    title: str,
    groups: str,
    seed: int,
    evaluation: Output[Artifact],
    report: Output[HTML],
    metrics: Output[Metrics],
    confusion: Output[ClassificationMetrics],
):
    import shutil
    from pathlib import Path

    from bonafide.evaluation import evaluate
    from bonafide.task import Evaluation

    config = Evaluation.model_validate(settings)
    out = Path(evaluation.path)
    found = evaluate.evaluate(Path(model.path), Path(dataset.path), out, config, seed, groups, title)
    shutil.copyfile(out / evaluate.EVALUATION_REPORT, report.path)
    for name, value in found.headline().items():
        metrics.log_metric(name, value)
    confusion.log_confusion_matrix(list(found.metrics.labels), found.metrics.confusion)
    for artifact in (metrics, confusion):  # kfp's local cache takes an artifact without a file for a lost one
        shutil.copyfile(out / evaluate.MEASURED, artifact.path)

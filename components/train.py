"""Train and calibrate a detector and trace its graph, tracked in MLflow."""

from kfp.dsl import Dataset, Input, Model, Output

from components import component


@component
def train(
    dataset: Input[Dataset],
    task: str,
    modality: str,
    settings: dict,
    seed: int,
    model: Output[Model],
):
    from pathlib import Path

    from bonafide.modality import arm
    from bonafide.registry.tracking import run_logger
    from bonafide.task import parse_model

    config = parse_model(settings)
    logger = run_logger(task, {**config.model_dump(), "seed": seed})
    info = arm(modality, "train")(Path(dataset.path), Path(model.path), config, seed, logger)
    model.metadata.update(architecture=config.architecture, parameters=info.parameters, run=info.run_id)

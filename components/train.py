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
    from bonafide.registry import tracking
    from bonafide.task import parse_model

    config = parse_model(settings)
    with tracking.begin(task, {**config.model_dump(), "seed": seed}) as run:
        info = arm(modality, "train")(Path(dataset.path), Path(model.path), config, seed, run)
    model.metadata.update(architecture=config.architecture, parameters=info.parameters, run=info.run_id)

"""The training pipeline's library calls in one process, without kfp."""

import sys
from pathlib import Path

from bonafide.data.split import split
from bonafide.data.validate import validate
from bonafide.delivery.promote import promote_version
from bonafide.evaluation.compare import compare
from bonafide.evaluation.evaluate import evaluate
from bonafide.evaluation.export import export
from bonafide.home import home, keys
from bonafide.model.train import train
from bonafide.registry.champion import find
from bonafide.registry.packages import opponent
from bonafide.registry.register import register
from bonafide.registry.tracking import run_logger, start
from bonafide.sources.ingest import ingest
from bonafide.task import load_task


def main(scratch: Path, overrides: list[str]) -> None:
    """Make a promoted model from nothing."""
    task = load_task("authenticity", overrides)
    names = ("dataset", "validation", "splits", "model", "evaluation", "comparison", "gate", "package")
    dataset, validation, splits, model, evaluation, comparison, gate, package = (
        scratch / name for name in names
    )
    start()
    public_key = keys() / "signing.pub"
    ingest(task.source, task.labels, dataset, task.seed)
    validate(dataset, validation, task.validation, task.seed)
    split(dataset, validation, splits, task.split, task.seed)
    logger = run_logger(task.name, {**task.model.model_dump(), "seed": task.seed})
    train(splits, model, task.model, task.seed, logger)
    evaluate(model, splits, evaluation, task.evaluation, task.seed)
    champion = opponent(task.name, find(task.name))
    compare(evaluation, splits, champion, public_key, comparison, task.evaluation, task.seed)
    if gate(evaluation, comparison, gate, task.gate).promote:
        export(model, splits, evaluation, comparison, gate, package, task, keys())
        version = register(package, splits, evaluation, gate, public_key)
        promote_version(task.name, version.number, home() / "delivery", "dev")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])

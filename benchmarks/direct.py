"""The training pipeline's library calls in one process, without kfp."""

import sys
from pathlib import Path

from bonafide.data.split import split
from bonafide.data.validate import validate
from bonafide.delivery.promote import promote_version
from bonafide.doctor import refuse_broken
from bonafide.evaluation.compare import compare
from bonafide.evaluation.evaluate import evaluate
from bonafide.evaluation.export import export
from bonafide.evaluation.gate import gate
from bonafide.home import delivery, trusted_keys, verifying_key
from bonafide.modality import arm
from bonafide.model.signing import signer
from bonafide.registry import champion
from bonafide.registry.packages import opponent
from bonafide.registry.register import register
from bonafide.registry.tracking import begin, start
from bonafide.task import load_task


def main(scratch: Path, overrides: list[str]) -> None:
    """Make a promoted model from nothing."""
    task = load_task("authenticity", overrides)
    names = ("dataset", "validation", "splits", "model", "evaluation", "comparison", "verdict", "package")
    dataset, validation, splits, model, evaluation, comparison, verdict, package = (
        scratch / name for name in names
    )
    start()
    refuse_broken(task.name)
    against = opponent(task.name, champion.find(task.name)["version"])
    arm(task.modality, "read")(task.sources, task.labels, dataset, task.seed, task.features)
    validate(dataset, validation, task.validation, task.seed)
    split(dataset, validation, splits, task.split, task.seed)
    run = begin(task.name, {**task.model.model_dump(), "seed": task.seed})
    arm(task.modality, "train")(splits, model, task.model, task.seed, run)
    evaluate(model, splits, evaluation, task.evaluation, task.seed, task.groups)
    compare(model, evaluation, splits, against, trusted_keys(), comparison, task.evaluation, task.seed)
    if gate(evaluation, comparison, verdict, task.gate).promote:
        export(model, splits, evaluation, comparison, verdict, package, task, signer())
        version = register(package, splits, evaluation, verdict, verifying_key())
        promote_version(task.name, version.number, delivery(), "dev")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])

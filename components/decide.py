"""Whether training begins, and the sources that it reads; kept in the store. Never cached.

The local runner knows conditions on an output of the name ``Output`` only, and takes others for false.
"""

from typing import NamedTuple

from kfp.dsl import Artifact, Input, Metrics, Output

from components import component


@component
def decide(
    run: str,
    job: str,
    drift: Input[Artifact],
    quality: Input[Metrics],
    task: dict,
    retrain: str,
    decision: Output[Artifact],
) -> NamedTuple("Outputs", [("Output", bool), ("sources", list)]):
    from pathlib import Path

    from bonafide.files import write_text
    from bonafide.monitoring.decide import decided
    from bonafide.task import Task

    found = decided(run, job, Path(drift.path), Path(quality.path), Task.model_validate(task), retrain)
    write_text(Path(decision.path), found.model_dump_json(indent=2))
    decision.metadata.update(retrain=found.retrain, why=found.why)
    return found.retrain, list(found.sources)

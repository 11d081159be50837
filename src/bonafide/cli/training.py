"""Running the training pipeline in front of a person."""

from typing import TYPE_CHECKING

from rich.console import Console

from bonafide.cli.steps import steps_view
from bonafide.errors import BonafideError
from bonafide.task import Task

if TYPE_CHECKING:
    from pipelines.runners.local import Run


def run_training(task: Task, console: Console, environment: str) -> "Run":
    """Run it on this machine and show its steps.

    Raises:
        BonafideError: a step failed; says which, why, and where the log is.
    """
    from pipelines.runners import local
    from pipelines.training import arguments, training

    with steps_view(console) as view:
        finished = local.run(training, arguments(task, environment), view.changed)
    if not finished.succeeded:
        failed = next((step.name for step in finished.steps if step.state == "FAILURE"), "the pipeline")
        reason = finished.error or "an unexpected error"
        raise BonafideError(f"{failed} failed: {reason} (log: {finished.log})")
    return finished

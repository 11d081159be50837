"""Running a pipeline on this machine, in front of a person."""

from typing import TYPE_CHECKING, Any

from rich.console import Console

from bonafide.cli.steps import steps_view
from bonafide.errors import BonafideError

if TYPE_CHECKING:
    from pipelines.runners.local import Run


def run_local(name: str, arguments: dict[str, Any], console: Console) -> "Run":
    """Run the pipeline of that name and show its steps.

    Raises:
        BonafideError: a step failed; says which, why, and where the log is.
    """
    from pipelines.compilation import load
    from pipelines.runners import local

    with steps_view(console) as view:
        finished = local.run(load(name), arguments, view.changed)
    if not finished.succeeded:
        failed = next((step.name for step in finished.steps if step.state == "FAILURE"), "the pipeline")
        reason = finished.error or "an unexpected error"
        raise BonafideError(f"{failed} failed: {reason} (log: {finished.log})")
    return finished

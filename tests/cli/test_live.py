"""A run's steps as a person sees them."""

import io

from rich.console import Console

from bonafide.cli.live import StepsView, steps_view
from pipelines.runners.steps import Step

STEPS = (
    Step("ingest", seconds=12.34, state="SUCCESS"),
    Step("split", cache_key="abc", state="SUCCESS"),
    Step("gate", seconds=2.0, state="FAILURE"),
    Step("train", detail="Training 3/12 validation accuracy 0.9", done=3, total=12),
)


def test_a_pipe_gets_a_line_for_each_finished_step():
    console = Console(file=io.StringIO(), width=100)
    with steps_view(console) as view:
        for step in STEPS:
            view.changed(step)
    assert console.file.getvalue().splitlines() == [
        "✓ ingest     12.3 s",
        "✓ split      cached",
        "✗ gate       2.0 s",
    ]


def test_a_terminal_sees_how_far_the_running_step_is():
    console = Console(file=io.StringIO(), width=100, force_terminal=True, color_system=None)
    view = StepsView(console)
    for step in STEPS:
        view.changed(step)
    console.print(view)
    *_, training = console.file.getvalue().splitlines()
    assert "Training 3/12 validation accuracy 0.9" in training
    assert "━" in training

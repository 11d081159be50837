"""A run in front of a person: a live table on a terminal, a line a finished step elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from bonafide.errors import BonafideError

if TYPE_CHECKING:
    from pipelines.runners.engine import Engine, RemoteRun
    from pipelines.runners.local import Run
    from pipelines.runners.steps import Step


def run_local(name: str, arguments: dict[str, Any], console: Console) -> "Run":
    """Run the pipeline of that name and show its steps; this machine's registry is started if none is named.

    :func:`refuse_failed` says how it ended.
    """
    from bonafide.registry.tracking import start
    from pipelines.compilation import load
    from pipelines.runners import local

    start()
    with steps_view(console) as view:
        return local.run(load(name), arguments, view.changed)


def refuse_failed(run: "Run") -> None:
    """Stop here if a step failed.

    Raises:
        BonafideError: says which step failed, why, and where the log is.
    """
    if run.failure:
        raise BonafideError(f"{run.failure} (log: {run.log})")


def run_elsewhere(engine: str, name: str, arguments: dict[str, Any], console: Console, detach: bool) -> None:
    """Submit the pipeline of that name to an engine, and follow it there unless ``detach``.

    Raises:
        BonafideError: the engine does not take it, or the run failed.
    """
    from pipelines.runners.engine import connect

    connected = connect(engine)
    run = connected.submit(name, arguments)
    console.print(f"run {run.id}\n{run.link}", soft_wrap=True)
    if detach:
        console.print(f"follow it: bonafide pipeline follow {run.id} --engine {engine}", soft_wrap=True)
    else:
        follow_run(console, connected, run.id)


def follow_run(console: Console, engine: "Engine", run: str) -> None:
    """Show the steps of a run elsewhere until it has ended; stopping to look does not stop it.

    Raises:
        BonafideError: it failed, or was cancelled.
    """
    from pipelines.runners.engine import follow

    with steps_view(console) as view:
        ended = follow(engine, run, view.changed)
    if ended.failure:
        raise BonafideError(f"{ended.failure} ({ended.link})")
    console.print(f"succeeded: {ended.link}", soft_wrap=True)


def print_run(console: Console, run: "RemoteRun") -> None:
    """A run elsewhere with its steps."""
    why = f", {run.error}" if run.error else ""
    console.print(f"{run.name}: {run.state.lower()}{why}\n{run.link}", soft_wrap=True, markup=False)
    for step in run.steps:
        console.print(Text.assemble(_line(step), f" {step.error}"), soft_wrap=True)


def print_runs(console: Console, runs: list["RemoteRun"]) -> None:
    """Runs elsewhere, a line each."""
    for run in runs:
        words = (run.id, f"{run.state.lower():<9}", run.created, run.name, run.error)
        console.print("  ".join(words).rstrip(), soft_wrap=True, markup=False)


class StepsView:
    """Give :meth:`changed` to a runner."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._steps: dict[str, Step] = {}

    def changed(self, step: "Step") -> None:
        """Show a step that started, progressed or ended."""
        self._steps[step.name] = step
        if not self._console.is_terminal and step.state != "RUNNING":
            self._console.print(_line(step))

    def __rich__(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for step in self._steps.values():
            mark = Spinner("dots") if step.state == "RUNNING" else _mark(step)
            bar = ProgressBar(step.total, step.done, width=20) if step.total else ""
            table.add_row(mark, step.name, _time(step), bar, Text(step.detail))
        return table


@contextmanager
def steps_view(console: Console) -> Iterator[StepsView]:
    """Show steps while a run goes on."""
    view = StepsView(console)
    if console.is_terminal:
        with Live(view, console=console, refresh_per_second=8, redirect_stdout=False):
            yield view
    else:
        yield view


def _mark(step: "Step") -> Text:
    if step.state == "RUNNING":
        return Text("…", "dim")
    return Text("✓", "green") if step.state == "SUCCESS" else Text("✗", "bold red")


def _line(step: "Step") -> Text:
    return Text.assemble(_mark(step), f" {step.name:<10} ", _time(step))


def _time(step: "Step") -> Any:
    import time

    if step.cache_key:
        return Text("cached", "dim")
    seconds = step.seconds or time.monotonic() - step.started
    return Text(f"{seconds:.1f} s", "dim")

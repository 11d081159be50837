"""``bonafide pipeline``: run, follow, schedule and compile the pipelines."""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bonafide.cli import schedules
from bonafide.cli.options import (
    EngineOption,
    OverwriteOption,
    RetrainOption,
    ServiceOption,
    SetOption,
    SourceOption,
    TaskOption,
)
from bonafide.errors import BonafideError, ConfigError
from bonafide.files import copy
from bonafide.task import load_task

if TYPE_CHECKING:
    from rich.console import Console

    from pipelines.runners.local import Run

app = typer.Typer(help="Run, follow, schedule and compile the pipelines.", no_args_is_help=True)
running = typer.Typer(help="Run a pipeline, on this machine or elsewhere.", no_args_is_help=True)
app.add_typer(running, name="run")
app.add_typer(schedules.app, name="schedule")

ElsewhereOption = Annotated[
    str, typer.Option("--engine", help="NAME of engines/NAME.yaml, or that file. [default: this machine]")
]
DetachOption = Annotated[bool, typer.Option("--detach", help="Do not wait for an engine's run to end.")]


@running.command()
def training(
    task: TaskOption = "authenticity",
    source: SourceOption = "",
    overrides: SetOption = None,
    environment: ServiceOption = "dev",
    engine: ElsewhereOption = "",
    detach: DetachOption = False,
) -> None:
    """From data to a promoted model; unchanged steps are cached. Exits 1 if the gate refuses.

    On another engine: exits 2 if the run fails there.
    """
    from rich.console import Console

    from bonafide.addresses import is_in_store
    from bonafide.cli.live import refuse_failed, run_elsewhere, run_local
    from bonafide.sources.digests import as_seen_elsewhere, with_source
    from pipelines.training import arguments

    console, settings = Console(file=sys.stdout, highlight=False), load_task(task, overrides)
    if engine:
        if source and not is_in_store(source):
            raise ConfigError(f"--source: {source} is on this machine; an engine reads the task's sources")
        settings = with_source(settings, source) if source else as_seen_elsewhere(settings)
        run_elsewhere(engine, "training", arguments(settings, environment), console, detach)
        return
    settings = with_source(settings, source)
    finished = run_local("training", arguments(settings, environment), console)
    refuse_failed(finished)
    _print_gate(finished, console)


@running.command()
def batch(
    images: Annotated[
        str, typer.Option("--input", help="A folder, a glob, a file, or one of these behind gs:// or s3://.")
    ],
    output: Annotated[
        str, typer.Option(help="The file to write: .csv or .parquet; with --engine behind gs:// or s3://.")
    ],
    task: TaskOption = "authenticity",
    version: Annotated[
        str, typer.Option(help="Number of a registered version. [default: the one in service]")
    ] = "",
    overwrite: OverwriteOption = False,
    engine: ElsewhereOption = "",
    detach: DetachOption = False,
) -> None:
    """From images or rows to a table of answers. Exits 2 if none is scored, or the run fails elsewhere."""
    from rich.console import Console

    from bonafide.batch.listing import SCHEMES
    from bonafide.batch.run import keep
    from bonafide.batch.table import format_of
    from bonafide.cli.live import refuse_failed, run_elsewhere, run_local

    kind = format_of(output, elsewhere=bool(engine))
    arguments = {"task": load_task(task).name, "format": kind, "version": version}
    console = Console(file=sys.stdout, highlight=False)
    if engine:
        if not images.startswith(SCHEMES):
            raise ConfigError(f"--input: {images} is on this machine; name one behind gs:// or s3://")
        given = arguments | {"images": images, "output": output, "overwrite": overwrite}
        run_elsewhere(engine, "batch", given, console, detach)
        return
    keep(Path(output), overwrite)
    where = images if "://" in images else str(Path(images).absolute())
    finished = run_local("batch", arguments | {"images": where}, console)
    refuse_failed(finished)
    copy(finished.artifact("score", "scores"), Path(output))
    counts = json.loads(finished.artifact("score", "metrics").read_text())
    for name, count in counts.items():
        console.print(f"{name.replace('_', ' ')}: {count:,}")
    console.print(f"log and artifacts: {finished.folder}")
    if not counts["scored"]:
        raise typer.Exit(2)


@running.command()
def monitoring(
    task: TaskOption = "authenticity",
    retrain: RetrainOption = "due",
    overrides: SetOption = None,
    environment: ServiceOption = "dev",
    engine: ElsewhereOption = "",
    detach: DetachOption = False,
) -> None:
    """See what the detector in service was asked, and train another one if it needs that.

    Exits 1 if the gate refuses the new one, and 2 if the run fails.
    """
    from rich.console import Console

    from bonafide.cli.live import refuse_failed, run_elsewhere, run_local
    from bonafide.drift.check import DRIFT_REPORT
    from bonafide.monitoring.decide import read_decision
    from bonafide.sources.digests import with_weights
    from pipelines.monitoring import arguments

    console = Console(file=sys.stdout, highlight=False)
    settings = load_task(task, overrides)
    if engine:
        given = arguments(settings, environment, retrain)
        run_elsewhere(engine, "monitoring", given, console, detach)
        return
    finished = run_local("monitoring", arguments(with_weights(settings), environment, retrain), console)
    refuse_failed(finished)
    report = finished.artifact("drift-check", "drift") / DRIFT_REPORT
    console.print(f"drift report: {report}", soft_wrap=True)
    decision = read_decision(finished.artifact("decide", "decision"))
    console.print(f"{'trained' if decision.retrain else 'not trained'}: {decision.why}", soft_wrap=True)
    if decision.retrain:
        _print_gate(finished, console)


RunArgument = Annotated[str, typer.Argument(help="The run's id.")]


@app.command()
def status(
    run: Annotated[str, typer.Argument(help="The run's id. [default: the newest runs]")] = "",
    engine: EngineOption = "kubeflow",
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many runs.")] = 10,
) -> None:
    """Show the newest runs of an engine, or one run with its steps."""
    from rich.console import Console

    from bonafide.cli.live import print_run, print_runs
    from pipelines.runners.engine import connect

    console, found = Console(file=sys.stdout, highlight=False), connect(engine)
    if run:
        print_run(console, found.look(run))
    else:
        print_runs(console, found.runs(limit))


@app.command()
def cancel(run: RunArgument, engine: EngineOption = "kubeflow") -> None:
    """End a run on an engine; what its finished steps made stays."""
    from pipelines.runners.engine import connect

    connect(engine).cancel(run)
    typer.echo(f"run {run} is being cancelled")


@app.command()
def follow(run: RunArgument, engine: EngineOption = "kubeflow") -> None:
    """Wait for a run on an engine and show its steps. Exits 2 if it fails."""
    from rich.console import Console

    from bonafide.cli.live import follow_run
    from pipelines.runners.engine import connect

    follow_run(Console(file=sys.stdout, highlight=False), connect(engine), run)


@app.command()
def work(task: Annotated[str, typer.Argument(help="Name of a task.")]) -> None:
    """Perform the runs of a task that were asked for over HTTP; the service API starts this by itself."""
    from contextlib import suppress

    from pipelines.worker import work

    with suppress(PermissionError):  # of a session's leader, which has a group of its own
        os.setpgid(0, 0)  # a run that is cancelled is killed with all that it started
    work(task)


@app.command("compile")
def compile_pipelines(
    check: Annotated[bool, typer.Option(help="Only say whether the committed files are fresh.")] = False,
) -> None:
    """Write pipelines/compiled/*.yaml, for Kubeflow and Vertex AI, and what each would be asked to run."""
    from bonafide.files import write_text
    from pipelines.compilation import compile_all, stale
    from pipelines.rendering import examples

    if not check:
        for path in compile_all():
            typer.echo(f"wrote {path}")
    rendered = examples()
    old = [path for path, content in rendered.items() if not path.exists() or path.read_text() != content]
    if not check:
        for path in old:
            write_text(path, rendered[path])
            typer.echo(f"wrote {path}")
    elif old := [*stale(), *old]:
        raise BonafideError(f"stale: {', '.join(map(str, old))}; run `bonafide pipeline compile`")


def _print_gate(finished: "Run", console: "Console") -> None:
    """What the gate said; exits 1 if it refused."""
    from pipelines.summary import summarise

    gate = summarise(finished)["gate"]
    for check in gate["checks"]:
        console.print(f"{'pass' if check['passed'] else 'FAIL'}  {check['why']}")
    console.print(f"log and artifacts: {finished.folder}")
    if not gate["promote"]:
        raise typer.Exit(1)

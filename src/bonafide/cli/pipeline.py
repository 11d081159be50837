"""``bonafide pipeline``: run, follow, schedule and compile the pipelines."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from bonafide.cli.options import OverwriteOption, SetOption, SourceOption, TaskOption
from bonafide.errors import BonafideError, ConfigError
from bonafide.files import copy
from bonafide.task import load_task

app = typer.Typer(help="Run, follow, schedule and compile the pipelines.", no_args_is_help=True)
running = typer.Typer(help="Run a pipeline, on this machine or elsewhere.", no_args_is_help=True)
planned = typer.Typer(help="Let an engine start pipelines by itself.", no_args_is_help=True)
app.add_typer(running, name="run")
app.add_typer(planned, name="schedule")

EngineOption = Annotated[
    str,
    typer.Option(help="Where: NAME for engines/NAME.yaml, or a file such as engines/kubeflow.example.yaml."),
]
EnvironmentOption = Annotated[str, typer.Option(help="Where a promoted model goes into service.")]

ElsewhereOption = Annotated[
    str, typer.Option("--engine", help="NAME of engines/NAME.yaml, or that file. [default: this machine]")
]
DetachOption = Annotated[bool, typer.Option("--detach", help="Do not wait for an engine's run to end.")]

CRON_FIELDS = 5


@running.command()
def training(
    task: TaskOption = "authenticity",
    source: SourceOption = "",
    overrides: SetOption = None,
    environment: EnvironmentOption = "dev",
    engine: ElsewhereOption = "",
    detach: DetachOption = False,
) -> None:
    """From images to a promoted detector; unchanged steps are cached. Exits 1 if the gate refuses.

    On another engine: exits 2 if the run fails there.
    """
    from rich.console import Console

    from bonafide.addresses import is_in_store
    from bonafide.cli.live import refuse_failed, run_elsewhere, run_local
    from bonafide.sources.ingest import as_seen_elsewhere, with_source
    from pipelines.summary import summarise
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
    gate = summarise(finished)["gate"]
    for check in gate["checks"]:
        console.print(f"{'pass' if check['passed'] else 'FAIL'}  {check['why']}")
    console.print(f"log and artifacts: {finished.folder}")
    if not gate["promote"]:
        raise typer.Exit(1)


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
    """From images to a table of answers. Exits 2 if none could be scored, or if the run fails elsewhere."""
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


@planned.command("training")
def schedule_training(
    cron: Annotated[
        str, typer.Option(help="Minute, hour, day, month, weekday: '0 2 * * *' is each night at two.")
    ],
    engine: EngineOption = "kubeflow",
    task: TaskOption = "authenticity",
    overrides: SetOption = None,
    environment: EnvironmentOption = "dev",
    time_zone: Annotated[
        str, typer.Option(help="Of the times, such as Europe/Berlin; on Vertex AI only. [default: UTC]")
    ] = "",
) -> None:
    """Start the training pipeline again and again, one run at a time."""
    from pipelines.runners.engine import connect, named
    from pipelines.training import arguments

    if len(cron.split()) != CRON_FIELDS:
        raise ConfigError(f"--cron {cron!r}: give five fields, such as '0 2 * * *' for each night at two")
    given = arguments(load_task(task, overrides), environment)
    connected = connect(engine)
    if there := [each for each in connected.schedules() if each.name == named("training", given)]:
        raise ConfigError(
            f"{there[0].name} has a schedule, at {there[0].cron}; remove it first: "
            f"bonafide pipeline schedule remove {there[0].id} --engine {engine}"
        )
    made = connected.schedule("training", given, cron, time_zone)
    typer.echo(f"schedule {made.id}: {made.name} at {made.cron} {made.time_zone}".rstrip())


@planned.command("list")
def list_schedules(engine: EngineOption = "kubeflow") -> None:
    """Show the schedules of an engine."""
    from pipelines.runners.engine import connect

    for made in connect(engine).schedules():
        state = "on" if made.enabled else "paused"
        when = f"{made.cron} {made.time_zone}".rstrip()
        typer.echo(f"{made.id}  {when:<12}  {state:<6}  {made.name}  {made.next}")


ScheduleArgument = Annotated[str, typer.Argument(help="As `bonafide pipeline schedule list` shows it.")]


@planned.command()
def pause(schedule: ScheduleArgument, engine: EngineOption = "kubeflow") -> None:
    """Start no run until the schedule is resumed."""
    from pipelines.runners.engine import connect

    connect(engine).pause(schedule)
    typer.echo(f"schedule {schedule} is paused")


@planned.command()
def resume(schedule: ScheduleArgument, engine: EngineOption = "kubeflow") -> None:
    """Go on with a paused schedule; what was missed is not made up for."""
    from pipelines.runners.engine import connect

    connect(engine).resume(schedule)
    typer.echo(f"schedule {schedule} goes on")


@planned.command()
def remove(schedule: ScheduleArgument, engine: EngineOption = "kubeflow") -> None:
    """Remove a schedule; its runs stay."""
    from pipelines.runners.engine import connect

    connect(engine).unschedule(schedule)
    typer.echo(f"schedule {schedule} is removed")


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

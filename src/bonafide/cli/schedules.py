"""``bonafide pipeline schedule``: let an engine start pipelines by itself."""

from typing import Annotated, Any

import typer

from bonafide.cli.options import EngineOption, RetrainOption, ServiceOption, SetOption, TaskOption
from bonafide.errors import ConfigError
from bonafide.task import load_task

app = typer.Typer(help="Let an engine start pipelines by itself.", no_args_is_help=True)

CronOption = Annotated[
    str, typer.Option(help="Minute, hour, day, month, weekday: '0 2 * * *' is each night at two.")
]
TimeZoneOption = Annotated[
    str, typer.Option(help="Of the times, such as Europe/Berlin; on Vertex AI only. [default: UTC]")
]

CRON_FIELDS = 5


@app.command()
def training(
    cron: CronOption,
    engine: EngineOption = "kubeflow",
    task: TaskOption = "authenticity",
    overrides: SetOption = None,
    environment: ServiceOption = "dev",
    time_zone: TimeZoneOption = "",
) -> None:
    """Start the training pipeline again and again, one run at a time."""
    from pipelines.training import arguments

    _schedule("training", arguments(load_task(task, overrides), environment), cron, engine, time_zone)


@app.command()
def monitoring(
    cron: CronOption,
    engine: EngineOption = "kubeflow",
    task: TaskOption = "authenticity",
    retrain: RetrainOption = "due",
    overrides: SetOption = None,
    environment: ServiceOption = "dev",
    time_zone: TimeZoneOption = "",
) -> None:
    """Start the monitoring pipeline again and again, one run at a time."""
    from pipelines.monitoring import arguments

    given = arguments(load_task(task, overrides), environment, retrain)
    _schedule("monitoring", given, cron, engine, time_zone)


@app.command("list")
def list_schedules(engine: EngineOption = "kubeflow") -> None:
    """Show the schedules of an engine."""
    from pipelines.runners.engine import connect

    for made in connect(engine).schedules():
        state = "on" if made.enabled else "paused"
        when = f"{made.cron} {made.time_zone}".rstrip()
        typer.echo(f"{made.id}  {when:<12}  {state:<6}  {made.name}  {made.next}")


ScheduleArgument = Annotated[str, typer.Argument(help="As `bonafide pipeline schedule list` shows it.")]


@app.command()
def pause(schedule: ScheduleArgument, engine: EngineOption = "kubeflow") -> None:
    """Start no run until the schedule is resumed."""
    from pipelines.runners.engine import connect

    connect(engine).pause(schedule)
    typer.echo(f"schedule {schedule} is paused")


@app.command()
def resume(schedule: ScheduleArgument, engine: EngineOption = "kubeflow") -> None:
    """Go on with a paused schedule; what was missed is not made up for."""
    from pipelines.runners.engine import connect

    connect(engine).resume(schedule)
    typer.echo(f"schedule {schedule} goes on")


@app.command()
def remove(schedule: ScheduleArgument, engine: EngineOption = "kubeflow") -> None:
    """Remove a schedule; its runs stay."""
    from pipelines.runners.engine import connect

    connect(engine).unschedule(schedule)
    typer.echo(f"schedule {schedule} is removed")


def _schedule(pipeline: str, given: dict[str, Any], cron: str, engine: str, time_zone: str) -> None:
    from pipelines.runners.engine import connect, named

    if len(cron.split()) != CRON_FIELDS:
        raise ConfigError(f"--cron {cron!r}: give five fields, such as '0 2 * * *' for each night at two")
    connected = connect(engine)
    if there := [each for each in connected.schedules() if each.name == named(pipeline, given)]:
        raise ConfigError(
            f"{there[0].name} has a schedule, at {there[0].cron}; remove it first: "
            f"bonafide pipeline schedule remove {there[0].id} --engine {engine}"
        )
    made = connected.schedule(pipeline, given, cron, time_zone)
    typer.echo(f"schedule {made.id}: {made.name} at {made.cron} {made.time_zone}".rstrip())

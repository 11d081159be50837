"""``bonafide rollout``: a canary that judges itself."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bonafide.cli.options import EnvironmentOption, TaskOption
from bonafide.errors import ConfigError
from bonafide.home import delivery

if TYPE_CHECKING:
    from bonafide.delivery.rollout.samples import Samples
    from bonafide.delivery.rollout.settings import RolloutSettings

app = typer.Typer(help="Canaries that judge themselves.", no_args_is_help=True)


@app.command()
def tick(
    environment: EnvironmentOption = "dev",
    task: TaskOption = "authenticity",
    prometheus: Annotated[
        str, typer.Option(help="Address of a Prometheus. [default: what bonafide deliver recorded here]")
    ] = "",
    url: Annotated[
        str,
        typer.Option(
            help="Where predictors answer replays; {predictor} stands for a predictor's name, "
            "{tag} for its tag in Knative mode."
        ),
    ] = "http://127.0.0.1:8080",
    images: Annotated[
        Path | None, typer.Option(help="A folder of images to replay in the step without traffic.")
    ] = None,
    rows: Annotated[
        Path | None, typer.Option(help="Instead of images: a .csv or .parquet file of numbers.")
    ] = None,
) -> None:
    """Look at a rollout once: advance, hold, finish or roll back, as one commit with its evidence."""
    from datetime import UTC, datetime

    from bonafide.delivery.rollout.replay import Replayer
    from bonafide.delivery.rollout.tick import Judge, tick
    from bonafide.task import task_name

    name = task_name(task)
    if images and rows:
        raise ConfigError("replay --images or --rows, not both")
    replayer = Replayer(url, inputs) if (inputs := images or rows) else None
    judge = Judge(_samples(prometheus, environment, name), replayer)
    decision = tick(delivery(), environment, name, judge, datetime.now(UTC))
    if decision is None:
        typer.echo(f"{name} in {environment}: no rollout is open")
    else:
        typer.echo(f"{name} in {environment}: {decision.verdict}, {decision.why}; {decision.weight} %")


@app.command()
def plan(
    rate: Annotated[float, typer.Option(min=0.001, help="Requests a second.")],
    errors: Annotated[float, typer.Option(min=1e-6, max=0.2, help="The share of errors, e.g. 0.005.")],
    file: Annotated[
        Path | None, typer.Argument(metavar="[ROLLOUT_YAML]", help="A rollout.yaml. [default: its defaults]")
    ] = None,
    labels: Annotated[int, typer.Option(min=2, max=100, help="How many labels the model answers.")] = 2,
) -> None:
    """Tell what each step can see and how long it takes; refuse a deadline that is too short."""
    from rich.console import Console
    from rich.table import Table

    from bonafide.delivery.rollout.plan import plan, refuse_short

    settings = _settings(file)
    needs = plan(settings, rate, errors, labels)
    table = Table("at", "to", "canary requests", "minutes", title="Half of all canaries / 95 % need at most")
    for need in needs:
        requests, minutes = (f"{half:,.0f} / {most:,.0f}" for half, most in (need.requests, need.minutes))
        table.add_row(f"{need.weight} %", need.what, requests, minutes)
    Console().print(table)
    typer.echo("Errors × 1.5 are a grey zone: such a canary may be rolled back, wait or go on.")
    refuse_short(settings, needs)


@app.command()
def pause(environment: EnvironmentOption = "dev", task: TaskOption = "authenticity") -> None:
    """Stop rollouts at their step; harm that is proven still rolls back."""
    _pause(environment, task, True)


@app.command()
def resume(environment: EnvironmentOption = "dev", task: TaskOption = "authenticity") -> None:
    """Let rollouts go on."""
    _pause(environment, task, False)


def _pause(environment: str, task: str, paused: bool) -> None:
    from bonafide.delivery.rollout.hand import pause
    from bonafide.task import task_name

    name = task_name(task)
    pause(delivery(), environment, name, paused)
    typer.echo(f"rollouts of {name} in {environment} are {'paused' if paused else 'going on'}")


def _settings(file: Path | None) -> "RolloutSettings":
    from bonafide.delivery.rollout.settings import RolloutSettings, parse_settings

    if file is None:
        return RolloutSettings()
    try:
        return parse_settings(file.read_text(), str(file))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}") from error


def _samples(prometheus: str, environment: str, task: str) -> "Samples":
    if prometheus:
        from bonafide.delivery.rollout.prometheus import Prometheus

        return Prometheus(prometheus, f"bonafide-{environment}", task)
    from bonafide.delivery.rollout.recorded import Recorded

    return Recorded(environment, task)

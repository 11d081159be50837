"""``bonafide rollout``: a canary that judges itself."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bonafide.cli.options import EnvironmentOption, TaskOption
from bonafide.home import delivery

if TYPE_CHECKING:
    from bonafide.delivery.rollout.samples import Samples

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
        typer.Option(help="Where predictors answer replays; {predictor} stands for a predictor's name."),
    ] = "http://127.0.0.1:8080",
    images: Annotated[
        Path | None, typer.Option(help="A folder of images to replay in the step without traffic.")
    ] = None,
) -> None:
    """Look at a rollout once: advance, hold, finish or roll back, as one commit with its evidence."""
    from datetime import UTC, datetime

    from bonafide.delivery.rollout.replay import Replayer
    from bonafide.delivery.rollout.tick import Judge, tick
    from bonafide.task import task_name

    name = task_name(task)
    replayer = Replayer(url, images) if images else None
    judge = Judge(_samples(prometheus, environment, name), replayer)
    decision = tick(delivery(), environment, name, judge, datetime.now(UTC))
    if decision is None:
        typer.echo(f"{name} in {environment}: no rollout is open")
    else:
        typer.echo(f"{name} in {environment}: {decision.verdict}, {decision.why}; {decision.weight} %")


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


def _samples(prometheus: str, environment: str, task: str) -> "Samples":
    if prometheus:
        from bonafide.delivery.rollout.prometheus import Prometheus

        return Prometheus(prometheus, f"bonafide-{environment}", task)
    from bonafide.delivery.rollout.recorded import Recorded

    return Recorded(environment, task)

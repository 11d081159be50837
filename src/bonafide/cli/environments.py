"""``bonafide promote``, ``rollback``, ``status``: what runs where."""

from typing import TYPE_CHECKING, Annotated

import typer

from bonafide.cli.options import EnvironmentOption, TaskOption
from bonafide.home import delivery

if TYPE_CHECKING:
    from bonafide.delivery.status import Status

BAR = 10


def promote(
    version: Annotated[str, typer.Argument(help="Number of a registered version.")],
    task: TaskOption = "authenticity",
    environment: EnvironmentOption = "dev",
    again: Annotated[bool, typer.Option(help="Also a package that was rolled back there.")] = False,
    pull_request: Annotated[
        bool, typer.Option("--pull-request", help="Ask for a review: a branch, and a request to merge it.")
    ] = False,
) -> None:
    """Bring a version into an environment: at once, or as a canary where there is a rollout.yaml."""
    from bonafide.delivery.promote import promote_version
    from bonafide.delivery.review.offer import offer_version
    from bonafide.task import task_name

    name, place = task_name(task), delivery()
    if not pull_request:
        commit = promote_version(name, version, place, environment, again)
        done = f"delivered to {environment}: commit {commit[:12]}"
    elif address := offer_version(name, version, place, environment, again):
        done = f"offered to {environment}: {address}"
    else:
        done = f"in {environment} already; bonafide status shows its share"
    typer.echo(f"{name} version {version} is {done}")


def rollback(
    task: TaskOption = "authenticity",
    environment: EnvironmentOption = "dev",
    to: Annotated[str, typer.Option(help="A version that served there. [default: the one before]")] = "",
    why: Annotated[str, typer.Option(help="What the commit says.")] = "",
) -> None:
    """End a canary's trial; where none is open, bring back the version before."""
    from bonafide.delivery.rollout.hand import roll_back
    from bonafide.task import task_name

    name = task_name(task)
    version = roll_back(delivery(), environment, name, to, why)
    typer.echo(f"{name} version {version} has all traffic in {environment}")


def status() -> None:
    """What every environment serves: versions, weights, ages, verdicts."""
    from rich.console import Console
    from rich.table import Table

    from bonafide.delivery.status import statuses

    table = Table(box=None, pad_edge=False)
    for name in ("task", "environment", "stable", "canary", "traffic", "since (UTC)"):
        table.add_column(name, no_wrap=True)
    table.add_column("last verdict")
    for each in statuses(delivery()):
        table.add_row(*_row(each))
    Console().print(table)


def _row(each: "Status") -> tuple[str, ...]:
    canary = f"{each.canary}: {each.weight} %" if each.canary else "–"
    filled = round(BAR * each.weight / 100)
    bar = "█" * (BAR - filled) + "░" * filled
    paused = " paused" if each.paused else ""
    since = f"{each.since:%d %b %H:%M}"
    return each.task, each.environment, each.stable, canary + paused, bar, since, each.verdict or "–"

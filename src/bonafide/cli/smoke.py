"""``bonafide smoke``."""

import sys
from typing import Annotated

import typer

from bonafide.cli.options import ModelOption, UrlArgument
from bonafide.errors import ConfigError
from bonafide.home import delivery


def smoke(
    url: UrlArgument,
    model: ModelOption = "",
    host: Annotated[str, typer.Option(help="The host to ask for, where URL is a gateway.")] = "",
    rate: Annotated[float, typer.Option(min=0.01, help="Requests a second.")] = 5,
    seconds: Annotated[float, typer.Option(min=0, help="For how long it is asked.")] = 30,
    errors: Annotated[float, typer.Option(min=0, max=1, help="Share of requests that may fail.")] = 0,
    p95: Annotated[
        float, typer.Option(min=0, help="Milliseconds within which 95 % must be answered.")
    ] = 1000,
    environment: Annotated[
        str,
        typer.Option(
            "--env",
            "--environment",
            help="Exits 2 on failure if what serves in this environment was rolled back to.",
        ),
    ] = "",
) -> None:
    """Ask a service with generated pictures at a steady rate. Exits 1 if a limit is broken; says which."""
    from rich.console import Console
    from rich.table import Table

    from bonafide.delivery import smoke as test

    if environment and not model:
        raise ConfigError("--env needs --model: whose rollback is meant?")
    seen = test.smoke(url, model, host, rate, seconds)
    table = Table("requests", "failed", "95 % within", "versions")
    versions = ", ".join(f"{version}: {times}" for version, times in sorted(seen.versions.items()))
    table.add_row(str(seen.asked), str(seen.failures.total()), f"{seen.p95:.0f} ms", versions)
    Console(file=sys.stdout, highlight=False).print(table)
    if not (broken := seen.broken(test.Limits(errors, p95))):
        typer.echo("passed")
        return
    if environment:
        test.refuse_second_rollback(delivery(), environment, model)
    typer.echo(f"failed: {broken}")
    raise typer.Exit(1)

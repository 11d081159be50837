"""``bonafide registry``: the registry of runs and models that commands and pipelines use."""

import typer

app = typer.Typer(help="The registry of runs and models.", no_args_is_help=True)


@app.command()
def init() -> None:
    """Start an empty registry in $BONAFIDE_HOME, unless one is there or MLFLOW_TRACKING_URI names one."""
    from bonafide.registry.tracking import address, start

    start()
    typer.echo(f"the registry is at {address()}")


@app.command()
def check() -> None:
    """Say which registry answers; exits 2 if none does, or if it does not let us in."""
    from bonafide.registry.tracking import address, ask

    ask()
    typer.echo(f"the registry at {address()} answers")

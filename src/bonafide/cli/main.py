"""The `bonafide` command: what stands here decides how fast `--help` is, so it imports little."""

import os
import sys

import typer

from bonafide.cli import api, data, demo, drift, feedback, model, pipeline, registry, rollout
from bonafide.cli.batch import batch
from bonafide.cli.collect import collect
from bonafide.cli.deliver import deliver
from bonafide.cli.demo_canary import demo_canary
from bonafide.cli.demo_loop import demo_loop
from bonafide.cli.doctor import doctor
from bonafide.cli.environments import promote, rollback, status
from bonafide.cli.predict import predict
from bonafide.cli.serve import serve
from bonafide.cli.simulate import simulate
from bonafide.cli.smoke import smoke
from bonafide.errors import BonafideError

INTERRUPTED = 130

app = typer.Typer(
    name="bonafide",
    help="Train, gate, ship and watch detectors of AI-generated images.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
app.command()(demo.demo)
app.command("demo-canary")(demo_canary)
app.command("demo-loop")(demo_loop)
app.add_typer(data.app, name="data")
app.add_typer(model.app, name="model")
app.add_typer(pipeline.app, name="pipeline")
app.add_typer(registry.app, name="registry")
app.add_typer(rollout.app, name="rollout")
app.add_typer(drift.app, name="drift")
app.add_typer(feedback.app, name="feedback")
app.command()(promote)
app.command()(rollback)
app.command()(status)
app.command()(doctor)
app.command()(predict)
app.command()(batch)
app.command()(serve)
app.command()(collect)
app.command()(deliver)
app.command()(simulate)
app.command()(smoke)
app.command()(api.api)
app.command("api-token")(api.token)


def main() -> None:
    """Run the command line; an error that a user can mend is one sentence and exit code 2."""
    # Idle OpenMP threads that spin slow torch tenfold when cores are shared; it is read when torch loads.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # a bar for each small file
    # kserve parses sys.argv when it is imported, and exits where an option abbreviates several of its own.
    arguments, sys.argv = sys.argv[1:], sys.argv[:1]
    try:
        app(arguments)
    except BonafideError as error:
        typer.echo(f"bonafide: {error}", err=True)
        sys.exit(2)
    except SystemExit as end:  # which is how Typer tells of Ctrl-C
        if end.code == INTERRUPTED:
            typer.echo("bonafide: stopped; run the same command again to go on", err=True)
        raise

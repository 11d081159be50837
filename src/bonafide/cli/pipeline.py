"""``bonafide pipeline``: run and compile the pipelines."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from bonafide.cli.options import OverwriteOption, SetOption, TaskOption
from bonafide.errors import BonafideError
from bonafide.files import copy
from bonafide.task import load_task

app = typer.Typer(help="Run and compile the pipelines.", no_args_is_help=True)
running = typer.Typer(help="Run a pipeline on this machine.", no_args_is_help=True)
app.add_typer(running, name="run")

SourceOption = Annotated[
    Path | None,
    typer.Option(help="A folder with one sub-folder per class, instead of the task's source."),
]


@running.command()
def training(
    task: TaskOption = "authenticity",
    source: SourceOption = None,
    overrides: SetOption = None,
    environment: Annotated[str, typer.Option(help="Where a promoted model goes into service.")] = "dev",
) -> None:
    """From images to a promoted detector; unchanged steps are cached. Exits 1 if the gate refuses."""
    from rich.console import Console

    from bonafide.cli.live import refuse_failed, run_local
    from bonafide.sources.folder import with_source
    from pipelines.summary import summarise
    from pipelines.training import arguments

    console = Console(file=sys.stdout, highlight=False)
    settings = with_source(load_task(task, overrides), source)
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
    output: Annotated[Path, typer.Option(help="The file to write: .csv or .parquet.")],
    task: TaskOption = "authenticity",
    version: Annotated[
        str, typer.Option(help="Number of a registered version. [default: the one in service]")
    ] = "",
    overwrite: OverwriteOption = False,
) -> None:
    """From images to a table of answers. Exits 2 if none could be scored."""
    from rich.console import Console

    from bonafide.batch.run import keep
    from bonafide.batch.table import format_of
    from bonafide.cli.live import refuse_failed, run_local

    arguments = {"task": load_task(task).name, "format": format_of(output), "version": version}
    keep(output, overwrite)
    where = images if "://" in images else str(Path(images).absolute())
    console = Console(file=sys.stdout, highlight=False)
    finished = run_local("batch", arguments | {"images": where}, console)
    refuse_failed(finished)
    copy(finished.artifact("score", "scores"), output)
    counts = json.loads(finished.artifact("score", "metrics").read_text())
    for name, count in counts.items():
        console.print(f"{name.replace('_', ' ')}: {count:,}")
    console.print(f"log and artifacts: {finished.folder}")
    if not counts["scored"]:
        raise typer.Exit(2)


@app.command("compile")
def compile_pipelines(
    check: Annotated[bool, typer.Option(help="Only say whether the committed files are fresh.")] = False,
) -> None:
    """Write pipelines/compiled/*.yaml, for Kubeflow and Vertex AI."""
    from pipelines.compilation import compile_all, stale

    if not check:
        for path in compile_all():
            typer.echo(f"wrote {path}")
    elif old := stale():
        raise BonafideError(f"stale: {', '.join(map(str, old))}; run `bonafide pipeline compile`")

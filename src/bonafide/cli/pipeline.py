"""``bonafide pipeline``: run and compile the pipelines."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from bonafide.cli.options import SetOption, TaskOption
from bonafide.errors import BonafideError, ConfigError
from bonafide.task import FolderSource, Task, load_task

app = typer.Typer(help="Run and compile the pipelines.", no_args_is_help=True)

SourceOption = Annotated[
    Path | None,
    typer.Option(help="A folder with one sub-folder a class, instead of the task's source."),
]


@app.command()
def run(
    name: Annotated[str, typer.Argument(help="Name of a pipeline: training.")],
    task: TaskOption = "authenticity",
    source: SourceOption = None,
    overrides: SetOption = None,
    environment: Annotated[str, typer.Option(help="Where a promoted model goes into service.")] = "dev",
) -> None:
    """Run a pipeline on this machine; unchanged steps come from the cache. Exits 1 if the gate refuses."""
    from rich.console import Console

    from bonafide.cli.training import run_training
    from pipelines.compilation import PIPELINES
    from pipelines.summary import summarise

    if name not in PIPELINES:
        raise ConfigError(f"no pipeline {name!r}; there is {', '.join(PIPELINES)}")
    console = Console(file=sys.stdout, highlight=False)
    finished = run_training(with_source(load_task(task, overrides), source), console, environment)
    gate = summarise(finished)["gate"]
    for check in gate["checks"]:
        console.print(f"{'pass' if check['passed'] else 'FAIL'}  {check['why']}")
    console.print(f"log and artifacts: {finished.folder}")
    if not gate["promote"]:
        raise typer.Exit(1)


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


def with_source(task: Task, folder: Path | None) -> Task:
    """The task reading ``folder`` instead of its own source, with the content's digest for caching."""
    from bonafide.sources.folder import folder_digest

    source = FolderSource(path=str(folder)) if folder else task.source
    if not isinstance(source, FolderSource):
        return task
    path = Path(source.path).resolve()
    return task.model_copy(update={"source": FolderSource(path=str(path), digest=folder_digest(path))})

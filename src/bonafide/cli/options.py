"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

TaskOption = Annotated[str, typer.Option("--task", help="Name of a task, or path of its YAML file.")]
EnvironmentOption = Annotated[
    str, typer.Option("--env", "--environment", help="An environment of the delivery repository.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Change a setting, e.g. model.epochs=3. May be repeated."
    ),
]
SourceOption = Annotated[
    str,
    typer.Option(
        help="A folder with one sub-folder per class, here or in a bucket, instead of the task's sources."
    ),
]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace OUTPUT if it is there.")]
SeedOption = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of every random choice.")]
DatasetArgument = Annotated[Path, typer.Argument(help="A dataset folder.")]
OutArgument = Annotated[Path, typer.Argument(help="The folder to write; it appears whole or not at all.")]

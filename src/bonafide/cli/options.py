"""Options that several commands share."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

import typer

from bonafide.errors import ConfigError

TaskOption = Annotated[str, typer.Option("--task", help="Name of a task, or path of its YAML file.")]
EnvironmentOption = Annotated[
    str, typer.Option("--env", "--environment", help="An environment of the delivery repository.")
]
ServiceOption = Annotated[str, typer.Option(help="Where a promoted model goes into service.")]

EngineOption = Annotated[
    str,
    typer.Option(help="Where: NAME for engines/NAME.yaml, or a file such as engines/kubeflow.example.yaml."),
]
RetrainOption = Annotated[
    Literal["due", "always", "never"],
    typer.Option(help="When to train: for drift, a fall of quality or age; in any case; or not at all."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Change a setting, e.g. model.epochs=3. May be repeated."
    ),
]
HostOption = Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all.")]
HttpPortOption = Annotated[int, typer.Option(min=0, max=65535, help="REST port; 0 takes a free one.")]
PublicKeyOption = Annotated[
    Path | None,
    typer.Option(help="Key that packages are signed for. [default: every .pub in $BONAFIDE_HOME/keys]"),
]
ModelOption = Annotated[str, typer.Option(help="Name of the model on the server. [default: its only one]")]
SourceOption = Annotated[
    str,
    typer.Option(
        help="Instead of the task's sources: a folder with one sub-folder of images per class, or a file of "
        "rows; here or in a bucket."
    ),
]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace OUTPUT if it is there.")]
SeedOption = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of every random choice.")]
UrlArgument = Annotated[str, typer.Argument(help="A server, e.g. http://127.0.0.1:8080.")]
DatasetArgument = Annotated[Path, typer.Argument(help="A dataset folder.")]
OutArgument = Annotated[Path, typer.Argument(help="The folder to write; it appears whole or not at all.")]


AGE = re.compile(r"([0-9]{1,6})([dh])")


def age(text: str, option: str) -> timedelta:
    """``30d`` or ``12h``.

    Raises:
        ConfigError: it is written otherwise.
    """
    found = AGE.fullmatch(text)
    if found is None:
        raise ConfigError(f"{option} {text!r}: write whole days or hours, as 30d or 12h")
    return timedelta(**{{"d": "days", "h": "hours"}[found[2]]: int(found[1])})

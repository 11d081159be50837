"""``bonafide predict``."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bonafide.batch.listing import SUFFIXES
from bonafide.cli.answers import Answer, answers, cells, table, told
from bonafide.cli.options import ModelOption, PublicKeyOption, TaskOption
from bonafide.errors import BonafideError, ConfigError, ImageError
from bonafide.files import write_bytes
from bonafide.home import delivery, trusted_keys
from bonafide.task import load_task

if TYPE_CHECKING:
    from bonafide.data.decoding import Pixels
    from bonafide.serving.answer import Answer as Predictions
    from bonafide.serving.sent import Sent


@dataclass(frozen=True)
class _Asked:
    """Who answers: a server, a package, or the package in service for a task."""

    url: str | None
    package: Path | None
    model: str
    task: str
    public_key: Path | None

    def answer(self, sent: "Sent", heatmap: bool = False) -> "Predictions":
        from bonafide.serving import client

        if self.url is not None:
            return client.predict_remote(self.url, sent, self.model, heatmap)
        version, package = ("", self.package) if self.package else self._in_service()
        return client.predict_local(package, sent, heatmap, self.public_key or trusted_keys(), version)

    def _in_service(self) -> tuple[str, Path]:
        """Its version and its package."""
        from bonafide.delivery.current import in_service

        current = in_service(delivery(), "dev", load_task(self.task).name)
        return current.version, current.package


def predict(
    inputs: Annotated[
        list[str],
        typer.Argument(
            help="Image files; a folder stands for those in it. Where the task is of a table: one row, "
            "a NAME=VALUE for each column."
        ),
    ],
    url: Annotated[str | None, typer.Option(help="Ask this server, e.g. http://127.0.0.1:8080.")] = None,
    package: Annotated[
        Path | None,
        typer.Option(help="Use this model package, without a server. [default: the one in service]"),
    ] = None,
    explain: Annotated[Path | None, typer.Option(help="Write heat maps to this PNG file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    model: ModelOption = "",
    task: TaskOption = "authenticity",
    public_key: PublicKeyOption = None,
) -> None:
    """Say how probable each label is, for images or a row; exits 2 if a file could not be answered."""
    if url and package:
        raise ConfigError("say which model answers: --url of a server or --package, one of them")
    asked = _Asked(url, package, model, task, public_key)
    if load_task(task).modality == "table" or all(map(_is_column, inputs)):
        if explain is not None:
            raise ConfigError("--explain draws heat maps of images; leave it out, a row has none")
        _predict_row(inputs, asked, as_json)
    else:
        _predict_images([Path(each) for each in inputs], asked, explain, as_json)


def _is_column(given: str) -> bool:
    """Whether it is written as one, and is no file."""
    return "=" in given and not Path(given).exists()


def _predict_row(inputs: Sequence[str], asked: _Asked, as_json: bool) -> None:
    import numpy as np

    row = _row(inputs)
    predictions = asked.answer({name: np.array([value]) for name, value in row.items()})
    [answer] = answers(predictions)
    if as_json:
        typer.echo(told(predictions, [({"row": row}, answer)]))
        return
    from rich.console import Console

    shown = table(predictions)
    shown.add_row(*cells(answer))
    Console().print(shown)


def _row(inputs: Sequence[str]) -> dict[str, float]:
    row: dict[str, float] = {}
    for each in inputs:
        name, _, value = each.partition("=")
        if name in row:
            raise ConfigError(f"{name} is given twice; give each column once")
        try:
            row[name] = float(value)
        except ValueError:
            raise ConfigError(f"{each!r}: write a column as NAME=NUMBER, such as width=5.1") from None
    return row


def _predict_images(inputs: Sequence[Path], asked: _Asked, explain: Path | None, as_json: bool) -> None:
    paths = _expand(inputs)
    contents, pixels, found = _read(paths)
    predictions = asked.answer(list(contents.values()), explain is not None) if contents else None
    if predictions is not None:
        found |= zip(contents, answers(predictions), strict=True)
        if explain is not None:
            _write_heatmaps(explain, list(pixels.values()), predictions)
    ordered = {path: found[path] for path in paths}
    if as_json:
        entries = [({"image": str(path)}, answer) for path, answer in ordered.items()]
        typer.echo(told(predictions, entries))
    else:
        _print_table(ordered, predictions)
    if any(answer.error for answer in ordered.values()):
        raise typer.Exit(2)


def _expand(paths: Sequence[Path]) -> list[Path]:
    files: list[Path] = []
    for path in paths:
        inside = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
        if path.is_dir() and not inside:
            raise BonafideError(f"{path} holds no JPEG, PNG or WebP file; give images or a folder of them")
        files += inside or [path]
    return list(dict.fromkeys(files))


def _read(
    paths: Sequence[Path],
) -> tuple[dict[Path, bytes], dict[Path, "Pixels"], dict[Path, Answer]]:
    from bonafide.data.decoding import decode

    contents, pixels, refused = {}, {}, {}
    for path in paths:
        try:
            content = path.read_bytes()
            pixels[path] = decode(content).pixels
            contents[path] = content
        except OSError as error:
            refused[path] = Answer(error=f"unreadable: {error.strerror}")
        except ImageError as error:
            refused[path] = Answer(error=f"{error.reason}: {error}")
    return contents, pixels, refused


def _write_heatmaps(target: Path, pixels: Sequence["Pixels"], predictions: "Predictions") -> None:
    from PIL import Image

    from bonafide.serving.overlay import beside, sheet

    rows = [
        beside(picture, heat) for picture, heat in zip(pixels, predictions.outputs["heatmap"], strict=True)
    ]
    stream = BytesIO()
    Image.fromarray(sheet(rows)).save(stream, "PNG")
    write_bytes(target, stream.getvalue())


def _print_table(found: dict[Path, Answer], predictions: "Predictions | None") -> None:
    from rich.console import Console
    from rich.text import Text

    shown = table(predictions, "file")
    shown.columns[0].overflow = "fold"
    above = os.path.commonpath([path.absolute().parent for path in found])
    for path, answer in found.items():
        shown.add_row(Text(os.path.relpath(path, above)), *cells(answer))
    console = Console()
    console.print(shown)
    for path, answer in found.items():
        if answer.error:
            console.print(Text(f"{path}: {answer.error}", style="red"))

"""``bonafide predict``."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bonafide.batch.listing import SUFFIXES
from bonafide.cli.options import ModelOption, PublicKeyOption, TaskOption
from bonafide.errors import BonafideError, ConfigError, ImageError
from bonafide.files import write_bytes
from bonafide.home import delivery, trusted_keys
from bonafide.task import load_task

if TYPE_CHECKING:
    from bonafide.data.decoding import Pixels
    from bonafide.serving.answer import Answer as Predictions


@dataclass(frozen=True)
class Answer:
    """One image's label and probabilities by label, or why it has none."""

    path: Path
    label: str = ""
    uncertain: bool = False
    probabilities: dict[str, float] = field(default_factory=dict)
    error: str = ""


def predict(
    images: Annotated[list[Path], typer.Argument(help="Image files; a folder stands for those in it.")],
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
    """Say for each image how probable each label is; exits 2 if a file could not be answered."""
    from bonafide.serving import client

    if url and package:
        raise ConfigError("say which model answers: --url of a server or --package, one of them")
    paths = _expand(images)
    contents, pixels, answers = _read(paths)
    predictions = None
    if contents:
        files, wanted = list(contents.values()), explain is not None
        if url is not None:
            predictions = client.predict_remote(url, files, model, wanted)
        else:
            key = public_key or trusted_keys()
            version, chosen = ("", package) if package else _in_service(task)
            predictions = client.predict_local(chosen, files, wanted, key, version)
    if predictions is not None:
        answers |= _answers(list(contents), predictions)
        if explain is not None:
            _write_heatmaps(explain, list(pixels.values()), predictions)
    ordered = [answers[path] for path in paths]
    _print_json(ordered, predictions) if as_json else _print_table(ordered, predictions)
    if any(answer.error for answer in ordered):
        raise typer.Exit(2)


def _in_service(task: str) -> tuple[str, Path]:
    """Its version and its package."""
    from bonafide.delivery.current import in_service

    current = in_service(delivery(), "dev", load_task(task).name)
    return current.version, current.package


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
            refused[path] = Answer(path, error=f"unreadable: {error.strerror}")
        except ImageError as error:
            refused[path] = Answer(path, error=f"{error.reason}: {error}")
    return contents, pixels, refused


def _answers(paths: Sequence[Path], predictions: "Predictions") -> dict[Path, Answer]:
    rows = zip(paths, predictions.names, predictions.uncertain, predictions.probabilities, strict=True)
    return {
        path: Answer(path, name, bool(uncertain), dict(zip(predictions.labels, map(float, row), strict=True)))
        for path, name, uncertain, row in rows
    }


def _write_heatmaps(target: Path, pixels: Sequence["Pixels"], predictions: "Predictions") -> None:
    from PIL import Image

    from bonafide.serving.overlay import beside, sheet

    rows = [
        beside(picture, heat) for picture, heat in zip(pixels, predictions.outputs["heatmap"], strict=True)
    ]
    stream = BytesIO()
    Image.fromarray(sheet(rows)).save(stream, "PNG")
    write_bytes(target, stream.getvalue())


def _print_json(answers: Sequence[Answer], predictions: "Predictions | None") -> None:
    entries = [{"image": str(answer.path)} | _told(answer) for answer in answers]
    source = {"model": predictions.model, "version": predictions.version} if predictions else {}
    typer.echo(json.dumps(source | {"predictions": entries}, indent=2, ensure_ascii=False))


def _told(answer: Answer) -> dict[str, Any]:
    if answer.error:
        return {"error": answer.error}
    return {
        "label": answer.label,
        "uncertain": answer.uncertain,
        "probabilities": answer.probabilities,
    }


def _print_table(answers: Sequence[Answer], predictions: "Predictions | None") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    labels = predictions.labels if predictions else ()
    table = Table("file", "label", "confidence", *labels)
    if predictions:
        table.title = f"{predictions.model}, version {predictions.version}"
    above = os.path.commonpath([answer.path.absolute().parent for answer in answers])
    for column in table.columns[2:]:
        column.justify = "right"
    table.columns[0].overflow = "fold"
    for answer in answers:
        name = os.path.relpath(answer.path, above)
        if answer.error:
            table.add_row(Text(name), Text(answer.error.partition(":")[0], style="red"))
            continue
        shares = [f"{answer.probabilities[label]:.3f}" for label in labels]
        confidence = f"{answer.probabilities[answer.label]:.1%}"
        label = Text.assemble((answer.label, "bold"), (" uncertain", "yellow") if answer.uncertain else "")
        table.add_row(Text(name), label, confidence, *shares)
    console = Console()
    console.print(table)
    for answer in answers:
        if answer.error:
            console.print(Text(f"{answer.path}: {answer.error}", style="red"))

"""``bonafide data``: the steps that make a dataset, one command each."""

from pathlib import Path
from typing import Annotated

import typer

from bonafide.cli.options import DatasetArgument, OutArgument, SeedOption, SetOption, SourceOption, TaskOption
from bonafide.config import parse
from bonafide.source import SampleSource
from bonafide.task import load_task

app = typer.Typer(help="Build, audit and split datasets.", no_args_is_help=True)


@app.command()
def sample(
    out: OutArgument,
    images: Annotated[int, typer.Option(min=30, help="How many images in all.")] = 3600,
    size: Annotated[int, typer.Option(min=32, max=256, help="Side in pixels.")] = 64,
    seed: SeedOption = 42,
) -> None:
    """Build the offline sample: three classes of images from photographs in installed packages."""
    from bonafide.sources.sample import build_sample

    parse(SampleSource, {"images": images, "size": size}, where="bonafide data sample")
    build_sample(out, images, size, seed)
    typer.echo(f"{out}: {images // 3 * 3} images in 3 classes, with manifest.csv and LICENCES.csv")


@app.command()
def ingest(
    out: OutArgument,
    source: SourceOption = "",
    task: TaskOption = "authenticity",
    overrides: SetOption = None,
) -> None:
    """Read sources into one dataset; unusable files or rows are quarantined with a reason."""
    from bonafide.modality import NOUNS, arm
    from bonafide.sources.digests import with_source

    settings = with_source(load_task(task, overrides), source)
    info = arm(settings.modality, "read")(
        settings.sources, settings.labels, out, settings.seed, settings.features
    )
    count = sum(info.counts["all"].values())
    typer.echo(
        f"{out}: {count} {NOUNS[info.modality]}s, {len(info.quarantined)} quarantined, "
        f"{len(info.skipped)} skipped"
    )


@app.command()
def validate(
    dataset: DatasetArgument, out: OutArgument, task: TaskOption = "authenticity", overrides: SetOption = None
) -> None:
    """Audit a dataset: duplicates, balance, shortcuts; writes validation.json and validation.html."""
    from bonafide.data.validate import validate
    from bonafide.data.verdict import VALIDATION_REPORT, refuse_failed

    settings = load_task(task, overrides)
    refuse_failed(validate(dataset, out, settings.validation, settings.seed, settings.title), out)
    typer.echo(f"all checks passed; report: {out / VALIDATION_REPORT}")


@app.command()
def split(
    dataset: DatasetArgument,
    validation: Annotated[Path, typer.Argument(help="What `bonafide data validate` wrote.")],
    out: OutArgument,
    placed: Annotated[
        Path | None,
        typer.Option(help="The placement.parquet of an earlier split: its groups keep their splits."),
    ] = None,
    task: TaskOption = "authenticity",
    overrides: SetOption = None,
) -> None:
    """Divide a dataset into train, val and test with no group in two of them."""
    from bonafide.data.split import split

    settings = load_task(task, overrides)
    info = split(dataset, validation, out, settings.split, settings.seed, placed)
    for name, counts in info.counts.items():
        typer.echo(f"{name}: {', '.join(f'{count} {label}' for label, count in counts.items())}")
    for reason, count in info.excluded.items():
        typer.echo(f"left out: {count} {reason}")

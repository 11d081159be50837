"""``bonafide batch``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bonafide.cli.options import OverwriteOption, PublicKeyOption, TaskOption
from bonafide.home import delivery, trusted_keys
from bonafide.task import load_task

if TYPE_CHECKING:
    from bonafide.batch.run import Summary


def batch(
    inputs: Annotated[
        str,
        typer.Argument(
            metavar="INPUT",
            help="Images: a folder, a glob, a file, or one of these behind gs:// or s3://. Rows of a "
            "table: a .csv or .parquet file.",
        ),
    ],
    output: Annotated[Path, typer.Argument(help="The file to write: .csv or .parquet.")],
    package: Annotated[
        Path | None, typer.Option(help="Use this model package. [default: the one in service]")
    ] = None,
    task: TaskOption = "authenticity",
    public_key: PublicKeyOption = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Score many images or rows into one table; the same command resumes it. Exits 2 if none could be."""
    from bonafide.batch.run import score
    from bonafide.batch.table import format_of
    from bonafide.delivery.current import in_service
    from bonafide.serving.compute.engine import Engine

    kind = format_of(output)
    version = ""
    if package is None:
        current = in_service(delivery(), "dev", load_task(task).name)
        package, version = current.package, current.version
    engine = Engine(package, public_key or trusted_keys(), threads=1)
    summary = score(
        inputs,
        output,
        engine,
        version or engine.info.model_digest[:12],
        kind=kind,
        workspace=output.with_name(f".{output.name}.partial"),
        overwrite=overwrite,
    )
    _print(summary, output)
    if not summary.scored:
        raise typer.Exit(2)


def _print(summary: "Summary", output: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(show_header=False, title=str(output), title_justify="left")
    table.add_column()
    table.add_column(justify="right")
    counts = {"scored": summary.scored, **summary.failed}
    for name, count in counts.items():
        table.add_row(name if name == "scored" else f"failed: {name}", f"{count:,}")
    if summary.resumed:
        table.add_row("of these by an earlier run", f"{summary.resumed:,}")
    if summary.skipped:
        table.add_row("other files, passed over", f"{summary.skipped:,}")
    table.add_row("seconds", f"{summary.seconds:.1f}")
    table.add_row(f"{summary.noun}/s", f"{summary.per_second:,.0f}")
    Console().print(table)

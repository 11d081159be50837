"""``bonafide doctor``: whether what a run needs is there."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from bonafide.cli.options import TaskOption
from bonafide.errors import BonafideError
from bonafide.task import load_task

if TYPE_CHECKING:
    from bonafide.doctor import Finding


def doctor(
    task: TaskOption = "authenticity",
    engine: Annotated[
        str, typer.Option(help="Look at an engine too: NAME of engines/NAME.yaml, or that file.")
    ] = "",
) -> None:
    """Look at the registry, its packages, the delivery repository, the signing key and the store.

    Each is used as a run will use it: a file is kept and read, a push is tried without effect, a probe is
    signed. Exits 1 if one is broken. With --engine it also tells which places the steps there have.
    """
    from rich.console import Console
    from rich.text import Text

    from bonafide.doctor import examine, examine_store

    console = Console(file=sys.stdout, highlight=False)
    broken = False
    for finding in (*examine(load_task(task).name), examine_store(), *_engine(engine)):
        mark = Text("✗", "bold red") if finding.broken else Text("✓", "green")
        console.print(Text.assemble(mark, f" {finding.what:<20} {finding.where}"), soft_wrap=True)
        console.print(Text(f"  {finding.found}", "" if finding.broken else "dim"), soft_wrap=True)
        broken = broken or finding.broken
    if broken:
        raise typer.Exit(1)


def _engine(engine: str) -> "Iterator[Finding]":
    from bonafide.doctor import Finding

    if not engine:
        return
    from pipelines.places import compare
    from pipelines.runners.engine import connect, settings_of

    try:
        yield from compare(settings_of(engine))
        runs = connect(engine).runs(1)
        newest = f"the newest run {runs[0].state.lower()}" if runs else "no run yet"
        yield Finding("engine", engine, f"answers, {newest}")
    except BonafideError as error:
        yield Finding("engine", engine, str(error), broken=True)

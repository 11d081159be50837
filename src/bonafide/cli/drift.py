"""``bonafide drift``: whether predictions are about what the model knows."""

from pathlib import Path
from typing import Annotated

import typer

from bonafide.cli.options import SetOption, TaskOption
from bonafide.home import trusted_keys
from bonafide.task import load_task

app = typer.Typer(help="Compare what is asked with what the model knows.", no_args_is_help=True)


@app.command()
def check(
    window: Annotated[
        Path, typer.Option("--input", metavar="FILE", help="A window of predictions, as .npz.")
    ],
    out: Annotated[Path, typer.Option(help="The folder to write.")] = Path("drift"),
    task: TaskOption = "authenticity",
    version: Annotated[
        str, typer.Option(help="Whose predictions count. [default: the version in service]")
    ] = "",
    reference: Annotated[
        Path | None,
        typer.Option(help="A signed package. [default: that of the version, from the registry]"),
    ] = None,
    overrides: SetOption = None,
) -> None:
    """Hold a window of predictions against the validation data. Exits 1 if looks have changed.

    Writes drift.json, drift.html and drift.prom.
    """
    from bonafide.drift.check import DRIFT_REPORT, check
    from bonafide.drift.report import HEADLINES
    from bonafide.drift.window import read_window

    settings = load_task(task, overrides)
    predictions = read_window(window)
    if reference is None:
        from bonafide.registry import packages, versions

        chosen = versions.chosen(settings.name, version)
        reference, version = packages.fetch(chosen), chosen.number
    found = check(predictions, reference, trusted_keys(), out, settings.drift, version, settings.name)
    for each in found.judgement.detectors:
        if each.adjusted is not None:
            typer.echo(f"{'DRIFT' if each.found else 'same '}  {each.name}, corrected p {each.adjusted:.2g}")
    for share in found.judgement.mix:
        typer.echo(
            f"{share.label}: {share.window:.1%} ({share.low:.1%} to {share.high:.1%}), "
            f"in the reference {share.reference:.1%}"
        )
    typer.echo(f"{HEADLINES[found.judgement.kind]}: {found.compared:,} distinct inputs compared")
    typer.echo(f"report: {out / DRIFT_REPORT}")
    if found.looks_changed:
        raise typer.Exit(1)

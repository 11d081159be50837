"""``bonafide drift``: whether predictions are about what the model knows."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bonafide.cli.options import SetOption, TaskOption, age
from bonafide.home import store, trusted_keys
from bonafide.task import load_task, task_name

if TYPE_CHECKING:
    from bonafide.feedback.window import Window

app = typer.Typer(help="Compare what is asked with what the model knows.", no_args_is_help=True)


@app.command()
def check(
    window: Annotated[
        str, typer.Option(metavar="AGE", help="The predictions that the store has of this long: 24h, 7d.")
    ] = "24h",
    file: Annotated[
        Path | None, typer.Option("--input", metavar="FILE", help="A window as .npz, and not from the store.")
    ] = None,
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
    """Hold predictions against the validation data. Exits 1 if looks have changed.

    Writes drift.json, drift.html and drift.prom.
    """
    from bonafide.drift.check import DRIFT_REPORT, check
    from bonafide.drift.report import HEADLINES
    from bonafide.drift.window import read_window

    settings = load_task(task, overrides)
    if reference is None:
        from bonafide.registry import packages, versions

        chosen = versions.chosen(settings.name, version)
        reference, version = packages.fetch(chosen), chosen.number
    predictions = read_window(file) if file else _stored(settings.name, age(window, "--window"), version)
    found = check(predictions, reference, trusted_keys(), out, settings.drift, version, settings.name)
    for each in found.judgement.detectors:
        if each.adjusted is not None:
            typer.echo(f"{'DRIFT' if each.found else 'same '}  {each.name}, corrected p {each.adjusted:.2g}")
    for each in found.judgement.moved(found.alpha):
        typer.echo(f"moved  {each.name}, p {each.p:.2g}")
    for share in found.judgement.mix:
        typer.echo(
            f"{share.label}: {share.window:.1%} ({share.low:.1%} to {share.high:.1%}), "
            f"in the reference {share.reference:.1%}"
        )
    typer.echo(f"{HEADLINES[found.judgement.kind]}: {found.compared:,} distinct inputs compared")
    typer.echo(f"report: {out / DRIFT_REPORT}")
    if found.looks_changed:
        raise typer.Exit(1)


@app.command("list")
def list_(
    task: TaskOption = "authenticity",
    most: Annotated[int, typer.Option("--most", min=1, help="How many.")] = 20,
) -> None:
    """Show what the newest runs of the monitoring pipeline found."""
    from bonafide.feedback.inspections import Inspections
    from bonafide.feedback.store import opened

    name = task_name(task)
    with opened(store()) as found:
        looks = Inspections(found.database).newest(name, most)
        if not looks:
            typer.echo(f"no look yet; one is made by: bonafide pipeline run monitoring --task {name}")
        for each in looks:
            accuracy = each.quality.get("accuracy")
            known = "no reviewed inputs" if accuracy is None else f"accuracy {accuracy:.1%}"
            when, done = f"{each.time:%Y-%m-%d %H:%M}", "trained" if each.retrain else "not trained"
            typer.echo(f"{when}  version {each.version}  {each.kind}, {each.compared:,} compared, {known}")
            typer.echo(f"  {done}: {each.why}")


def _stored(task: str, span: timedelta, version: str) -> "Window":
    from bonafide.feedback.store import opened

    now = datetime.now(UTC)
    with opened(store()) as found:
        return found.window(task, now - span, now, version or None)

"""``bonafide feedback``: what people say of predictions, and what becomes of it."""

import getpass
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bonafide.cli.options import OutArgument, TaskOption, age
from bonafide.errors import BonafideError, ConfigError
from bonafide.home import store

if TYPE_CHECKING:
    from bonafide.feedback.reviews import Reviews
    from bonafide.feedback.store import Store

app = typer.Typer(help="What people say of predictions.", no_args_is_help=True)

ID_LENGTH = 32
ReviewerOption = Annotated[
    str, typer.Option(help="Who says so. [default: the name that you are logged in by]")
]
IdsArgument = Annotated[list[str], typer.Argument(metavar="FEEDBACK…", help="Ids, as `list` shows them.")]


@app.command()
def add(
    prediction: Annotated[str, typer.Argument(help="The `prediction_id` of an answer.")],
    label: Annotated[str, typer.Argument(help="Which label it has.")],
    reviewer: ReviewerOption = "",
    note: Annotated[str, typer.Option(help="Why, for whoever decides.")] = "",
) -> None:
    """Say which label the input of a prediction has."""
    filed, _ = _reviews().file(prediction, label, reviewer or getpass.getuser(), note)
    typer.echo(f"{filed.id}: the prediction was {filed.verdict}, {filed.state}")


@app.command("list")
def list_(
    task: Annotated[str, typer.Option(help="Of this task only. [default: of all]")] = "",
    state: Annotated[
        Literal["new", "confirmed", "rejected"] | None, typer.Option(help="In this state only.")
    ] = None,
    most: Annotated[int, typer.Option("--most", min=1, help="How many.")] = 20,
) -> None:
    """Show the newest feedback."""
    from rich.console import Console
    from rich.table import Column, Table

    table = Table("time", "label", "the model was", "reviewer", "state")
    table.columns.insert(0, Column("feedback", no_wrap=True, min_width=ID_LENGTH))
    for each in _reviews().newest(most, task or None, state):
        when = f"{each.time:%Y-%m-%d %H:%M}"
        table.add_row(each.id, when, each.label, each.verdict, each.reviewer, each.state)
    Console().print(table)


@app.command()
def confirm(ids: IdsArgument, reviewer: ReviewerOption = "") -> None:
    """Confirm feedback: its label is what training may learn."""
    _decide(ids, "confirmed", reviewer)


@app.command()
def reject(ids: IdsArgument, reviewer: ReviewerOption = "") -> None:
    """Reject feedback."""
    _decide(ids, "rejected", reviewer)


@app.command()
def export(out: OutArgument, task: TaskOption = "authenticity") -> None:
    """Write confirmed images as a folder with one sub-folder for each label, which `ingest` reads."""
    from bonafide.source import FeedbackSource
    from bonafide.sources.feedback import export
    from bonafide.task import load_task, task_name

    with suppress(ConfigError):  # it may be known elsewhere only
        if load_task(task).modality == "table":
            raise BonafideError(
                f"{task} has rows, and this writes images; a source of kind feedback reads them"
            )
    count = export(FeedbackSource(task=task_name(task)), out)
    typer.echo(f"{out}: {count} images, with manifest.csv and feedback.csv")


@app.command()
def figures(
    task: TaskOption = "authenticity",
    days: Annotated[float, typer.Option(min=0.01, help="Of the predictions of so many days.")] = 30,
) -> None:
    """Tell how often people agree with the model, of what was reviewed."""
    from datetime import UTC, datetime, timedelta

    from rich.console import Console
    from rich.table import Table

    from bonafide.feedback.figures import figures
    from bonafide.task import load_task

    settings, now = load_task(task), datetime.now(UTC)
    start = now - timedelta(days=days)
    found = figures(_store().database, settings.name, settings.labels[0], start, now)
    table = Table(show_header=False, title=f"{settings.name}, the last {days:g} days", title_justify="left")
    for name, value in (
        ("predictions", f"{found.predictions:,}"),
        ("reviewed", f"{found.reviewed:,}"),
        ("feedback that waits", f"{found.waiting:,}"),
        ("agreement among reviewed", _share(found.agreement)),
        ("reviewed alarms", f"{found.alarms:,}"),
        ("false alarms among them", _share(found.false_alarms)),
        ("median time to review", "–" if found.hours is None else f"{found.hours:,.1f} h"),
    ):
        table.add_row(name, value)
    Console().print(table)


@app.command()
def forget(
    older_than: Annotated[str, typer.Option("--older-than", help="An age: 30d, 12h.")],
    confirmed: Annotated[
        bool,
        typer.Option("--confirmed", help="Also what has confirmed feedback, which training may still want."),
    ] = False,
) -> None:
    """Delete old predictions, what was said of them, and the files that are kept of them."""
    from datetime import UTC, datetime

    from bonafide.feedback.retention import forget

    before = datetime.now(UTC) - age(older_than, "--older-than")
    predictions, images = forget(_store(), before, confirmed)
    typer.echo(f"forgotten: {predictions:,} predictions, {images:,} images")


@app.command()
def migrate() -> None:
    """Make the store's tables, or bring them up to date; $BONAFIDE_STORE says where."""
    from bonafide.feedback.database import Database

    database = Database(store(), patience=None)
    database.migrate()
    typer.echo(f"{database.told}: the tables are those of this version")


def _decide(ids: list[str], state: Literal["confirmed", "rejected"], reviewer: str) -> None:
    """Of each; those that cannot be decided are told at the end."""
    from bonafide.feedback.errors import ContradictionError, UnknownError

    reviews, refused = _reviews(), list[str]()
    for each in ids:
        try:
            decided = reviews.decide(each, state, reviewer or getpass.getuser())
        except (ContradictionError, UnknownError) as error:
            refused.append(str(error))
        else:
            typer.echo(f"{decided.id}: {decided.state}, {decided.label!r}")
    if refused:
        raise BonafideError(f"{len(refused):,} of {len(ids):,} were not {state}: " + "; ".join(refused))


def _reviews() -> "Reviews":
    from bonafide.feedback.reviews import Reviews

    return Reviews(_store().database)


def _store() -> "Store":
    from bonafide.feedback.store import Store

    made = Store(store())
    made.database.check()
    return made


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"

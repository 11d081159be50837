"""``bonafide simulate``."""

import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from bonafide.cli.options import ModelOption, SeedOption, UrlArgument
from bonafide.errors import ConfigError
from bonafide.home import STORE

if TYPE_CHECKING:
    from rich.table import Table

    from bonafide.feedback.reviews import Reviews
    from bonafide.traffic.drift import Drift
    from bonafide.traffic.inputs import Inputs
    from bonafide.traffic.outcome import Outcome
    from bonafide.traffic.review import Filed

MIX = "LABEL=SHARE,…"


def simulate(
    url: UrlArgument,
    images: Annotated[
        str, typer.Option(help="A folder of images, or one behind gs:// or s3://; sub-folders are labels.")
    ] = "",
    rows: Annotated[
        str, typer.Option(help="Instead of images: a .csv or .parquet file of numbers, with a column label.")
    ] = "",
    rate: Annotated[float, typer.Option(min=0.01, max=10_000, help="Requests a second on average.")] = 5,
    seconds: Annotated[float, typer.Option(min=1, help="How long.")] = 60,
    mix: Annotated[
        str, typer.Option(metavar=MIX, help="Share of each label. [default: each input as often]")
    ] = "",
    drift: Annotated[
        Literal["brightness", "jpeg", "blur", "new-generator", "label-shift", "shift"] | None,
        typer.Option(help="How traffic changes, more and more until the end. [default: not at all]"),
    ] = None,
    strength: Annotated[float, typer.Option(min=0, max=1, help="How strong the drift is at the end.")] = 1,
    drifted_images: Annotated[
        str, typer.Option(help="Of new-generator: images whose share of the requests grows to the strength.")
    ] = "",
    drifted_mix: Annotated[
        str, typer.Option(metavar=MIX, help="Of label-shift: the mix at strength 1.")
    ] = "",
    shift: Annotated[
        str, typer.Option(metavar="COLUMN=NUMBER,…", help="Of shift: what is added to rows at strength 1.")
    ] = "",
    api: Annotated[
        Literal["v2", "service"],
        typer.Option(help="What URL is: a server of the Open Inference Protocol v2, or the service API."),
    ] = "v2",
    feedback: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the answers about which feedback is given.")
    ] = 0,
    feedback_url: Annotated[
        str, typer.Option(help="Service API that takes it. [default: URL, if that is one]")
    ] = "",
    confirm: Annotated[
        bool, typer.Option("--confirm", help="Confirm it too, in --store: training may learn it.")
    ] = False,
    store: Annotated[
        str,
        typer.Option(
            envvar=STORE,
            help="Of --confirm: postgresql://…, sqlite:///FILE, or `local` for $BONAFIDE_HOME/store.db.",
        ),
    ] = "",
    out: Annotated[
        Path | None, typer.Option(help="A CSV file to write at the end, with a row for each request.")
    ] = None,
    seed: SeedOption = 0,
    model: ModelOption = "",
) -> None:
    """Ask a server about images or rows at random times, and tell how it answered. Ctrl-C ends it.

    $BONAFIDE_API_TOKEN is shown to the service API.
    """
    from bonafide.progress import progress
    from bonafide.traffic import simulate as traffic
    from bonafide.traffic.drift import Drift
    from bonafide.traffic.endpoint import Server
    from bonafide.traffic.inputs import read_mix, read_numbers
    from bonafide.traffic.review import Reviewer

    shifted = read_numbers(shift, "shift", "petal_length=2")
    changes = Drift(drift, strength, drifted_images, read_mix(drifted_mix), shifted)
    inputs = _inputs(images, rows, read_mix(mix), changes)
    token, reviewer = _token(), None
    if feedback:
        address = feedback_url or _service(url, api)
        reviewer = Reviewer(feedback, address, token, _reviews(store) if confirm else None)
    elif feedback_url or confirm:
        raise ConfigError("--feedback-url and --confirm are about feedback; say for what share: --feedback")
    plan = traffic.Plan(rate, seconds, seed)
    with progress("seconds of traffic", int(seconds)) as advance:
        outcome = traffic.simulate(Server(url, api, model, token), inputs, plan, advance, reviewer)
    _print(outcome, inputs.labels)
    if out:
        from bonafide.files import write_text

        write_text(out, outcome.csv())


def _inputs(images: str, rows: str, mix: dict[str, float], drift: "Drift") -> "Inputs[Any]":
    if bool(images) == bool(rows):
        raise ConfigError("say what to ask about: --images FOLDER, or --rows FILE")
    if images:
        from bonafide.traffic.pictures import Pictures

        return Pictures(images, mix, drift)
    from bonafide.traffic.rows import Rows

    return Rows(rows, mix, drift)


def _token() -> str:
    from bonafide.traffic.endpoint import TOKEN

    token = os.environ.get(TOKEN, "").strip()
    if not re.fullmatch(r"[!-~]*", token):
        raise ConfigError(f"${TOKEN} is no token: it has spaces or other than ASCII")
    return token


def _service(url: str, api: str) -> str:
    if api == "v2":
        raise ConfigError("a server of v2 takes no feedback; name the service API that does: --feedback-url")
    return url


def _reviews(store: str) -> "Reviews":
    if not store:
        raise ConfigError(f"--confirm needs the database of the predictions: --store, or ${STORE}")
    from bonafide.cli.kept import address
    from bonafide.feedback.reviews import Reviews
    from bonafide.feedback.store import Store

    made = Store(address(store))
    made.database.check()
    return Reviews(made.database)


def _print(outcome: "Outcome", labels: set[str]) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    console.print(_by_predictor(outcome))
    if outcome.failures:
        console.print(f"failed: {_counts(outcome.reasons)}")
    if outcome.late:
        console.print(
            f"requests that began late: {outcome.late:,}; the server or this machine is too slow for the rate"
        )
    if outcome.scores:
        console.print(_by_label(outcome))
    elif labels and outcome.labels:
        told = " and ".join(", ".join(sorted(names)) for names in (labels, outcome.labels))
        console.print(f"no accuracy: the labels given and the model's have nothing in common: {told}")
    for line in _of_feedback(outcome.feedback):
        console.print(line)


def _by_predictor(outcome: "Outcome") -> "Table":
    table = _table("predictor", "requests", "failures", "median", "95 %")
    for name, tally in sorted(outcome.tallies.items()):
        times = (_milliseconds(tally.quantile(share)) for share in (0.5, 0.95))
        table.add_row(name, f"{tally.requests:,}", f"{tally.failures:,}", *times)
    return table


def _by_label(outcome: "Outcome") -> "Table":
    table = _table("label", "answers", "right")
    for label, score in outcome.scores.items():
        table.add_row(label, f"{score.answers:,}", f"{score.right / score.answers:.1%}")
    answers, right = map(sum, zip(*outcome.scores.values(), strict=True))
    table.add_row("all", f"{answers:,}", f"{right / answers:.1%}")
    return table


def _of_feedback(feedback: "Filed") -> Iterator[str]:
    if feedback.filed:
        yield f"feedback: {feedback.filed:,} filed, {feedback.confirmed:,} confirmed"
    for what, reasons in (("filed", feedback.unfiled), ("confirmed", feedback.unconfirmed)):
        if reasons:
            yield f"feedback that could not be {what}: {_counts(reasons)}"


def _table(first: str, *columns: str) -> "Table":
    from rich.table import Table

    table = Table(first)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _counts(reasons: Counter[str]) -> str:
    return "; ".join(f"{count:,} × {reason}" for reason, count in reasons.most_common())


def _milliseconds(seconds: float | None) -> str:
    return "–" if seconds is None else f"{1000 * seconds:,.0f} ms"

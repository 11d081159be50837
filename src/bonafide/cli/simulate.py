"""``bonafide simulate``."""

from typing import TYPE_CHECKING, Annotated

import typer

from bonafide.cli.options import ModelOption, SeedOption, UrlArgument

if TYPE_CHECKING:
    from bonafide.traffic.simulate import Outcome


def simulate(
    url: UrlArgument,
    images: Annotated[
        str, typer.Option(help="A folder of images, or one behind gs:// or s3://; sub-folders are labels.")
    ],
    rate: Annotated[float, typer.Option(min=0.01, max=10_000, help="Requests a second on average.")] = 5,
    seconds: Annotated[float, typer.Option(min=1, help="How long.")] = 60,
    mix: Annotated[
        str,
        typer.Option(metavar="LABEL=SHARE,…", help="Share of each label. [default: each image as often]"),
    ] = "",
    drift: Annotated[
        float, typer.Option(min=0, max=1, help="How blurred and compressed images are at the end.")
    ] = 0,
    seed: SeedOption = 0,
    model: ModelOption = "",
) -> None:
    """Ask a server about images at random times, and tell by predictor how it answered. Ctrl-C ends it."""
    from bonafide.progress import progress
    from bonafide.traffic.pictures import Pictures, read_mix
    from bonafide.traffic.simulate import Plan
    from bonafide.traffic.simulate import simulate as simulate_traffic

    pictures = Pictures(images, read_mix(mix))
    with progress("seconds of traffic", int(seconds)) as advance:
        outcome = simulate_traffic(url, model, pictures, Plan(rate, seconds, drift, seed), advance)
    _print(outcome)


def _print(outcome: "Outcome") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("predictor")
    for column in ("requests", "failures", "median", "95 %"):
        table.add_column(column, justify="right")
    for name, tally in sorted(outcome.tallies.items()):
        times = (_milliseconds(tally.quantile(share)) for share in (0.5, 0.95))
        table.add_row(name, f"{tally.requests:,}", f"{tally.failures:,}", *times)
    console = Console(highlight=False)
    console.print(table)
    if outcome.late:
        console.print(
            f"{outcome.late:,} requests began late: the server or this machine is too slow for the rate"
        )


def _milliseconds(seconds: float | None) -> str:
    return "–" if seconds is None else f"{1000 * seconds:,.0f} ms"

"""Rollouts as a picture: each canary's share of the traffic, and the evidence against it."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bonafide.delivery.checkout import checkout
from bonafide.delivery.repository import FIRST_PARENT, earlier, folder_of
from bonafide.errors import DeliveryError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")


@dataclass(frozen=True)
class Shares:
    """Of one canary: when its share changed, and to how many percent."""

    version: str
    times: Sequence[datetime]
    percents: Sequence[int]


def draw(place: str, environment: str, task: str, out: Path) -> Path:
    """Write a PNG or SVG of all rollouts of a task in an environment.

    Raises:
        DeliveryError: nothing was rolled out there, or the repository cannot be reached.
    """
    from matplotlib.figure import Figure

    with checkout(place) as delivery:
        states = [
            (commit.committed_datetime.astimezone(UTC), service)
            for commit, service in earlier(delivery, environment, task, **FIRST_PARENT)
        ][::-1]
        evidence = delivery.folder / folder_of(environment, task) / "evidence"
        records = [json.loads(path.read_text()) for path in sorted(evidence.glob("*.json"))]
    shares = _shares(states)
    if not shares:
        raise DeliveryError(f"no version of {task} was rolled out in {environment} yet")
    figure = Figure(figsize=(9, 6), layout="constrained")
    above, below = figure.subplots(2, sharex=True)
    for each, colour in zip(shares, COLOURS * len(shares), strict=False):
        above.step(each.times, each.percents, where="post", color=colour, label=f"version {each.version}")
        _mark(above, each, [record for record in records if record["canary"] == each.version], colour)
        _evidence(below, [record for record in records if record["canary"] == each.version], colour)
    for limit in {record["harm"]["rolls_back_at"] / math.log(10) for record in records}:
        below.axhline(limit, color="#5c6773", linestyle="--", linewidth=1)
        below.annotate(
            "rolls back", (0.01, limit), xycoords=("axes fraction", "data"), va="bottom", fontsize=8
        )
    above.set(ylabel="canary's share of the traffic, %", ylim=(-3, 112), title=f"{task} in {environment}")
    above.legend(loc="center left", frameon=False)
    below.set(ylabel="evidence of harm, log10", xlabel="time (UTC)")
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color="#d9dee4", linewidth=0.7)
    figure.autofmt_xdate()
    figure.savefig(out, dpi=150)
    return out


def _shares(states: Sequence[tuple[datetime, Any]]) -> list[Shares]:
    """One for each canary; at its end its share is all, or nothing."""
    found: list[Shares] = []
    times: list[datetime] = []
    percents: list[int] = []
    version = ""
    for time, service in states:
        if version and (service.canary is None or service.canary.version != version):
            end = 100 if service.stable.version == version else 0
            found.append(Shares(version, [*times, time], [*percents, end]))
            times, percents, version = [], [], ""
        if service.canary:
            version = service.canary.version
            times, percents = [*times, time], [*percents, service.weight]
    return [*found, Shares(version, times, percents)] if version else found


def _mark(axes: "Axes", shares: Shares, records: Sequence[dict[str, Any]], colour: str) -> None:
    from matplotlib.dates import date2num

    ends = [record for record in records if record["verdict"] in ("finish", "roll back")]
    for record in ends:
        place = (date2num(datetime.fromisoformat(record["at"])), shares.percents[-1])
        axes.plot(*place, marker="x" if record["verdict"] == "roll back" else "o", color=colour)
        axes.annotate(record["verdict"], place, (6, 4), textcoords="offset points", color=colour, fontsize=9)


def _evidence(axes: "Axes", records: Sequence[dict[str, Any]], colour: str) -> None:
    """The evidence after each window of the last record that has windows; it begins at 1."""
    from matplotlib.dates import date2num

    measured = [record for record in records if record.get("harm_by_window")]
    if measured:
        begun = datetime.fromisoformat(measured[-1]["began"])
        times, logs = zip(*measured[-1]["harm_by_window"], strict=True)
        when = date2num([begun, *(datetime.fromtimestamp(time, UTC) for time in times)])
        axes.plot(when, np.array([0.0, *logs]) / math.log(10), color=colour, marker=".")

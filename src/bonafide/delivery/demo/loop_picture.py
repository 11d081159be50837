"""The story of the loop as a picture: accuracy and drift over time, with what happened."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from bonafide.delivery.demo.loop import Story

BIN_SECONDS = 20
BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#5c6773"


def draw(story: Story, out: Path) -> Path:
    """Write a PNG or SVG: the share of right answers above, the evidence of drift below."""
    from matplotlib.dates import DateFormatter
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 6), layout="constrained")
    above, below = figure.subplots(2, sharex=True)
    for version, colour in (("1", BLUE), ("2", ORANGE)):
        times, shares, errors = _accuracy(story, version)
        above.errorbar(times, shares, errors, fmt="o", color=colour, markersize=4, label=f"version {version}")
        looks = [each for each in story.inspections if each.version == version]
        scores = [max(each.scores.values(), default=0.0) for each in looks]
        below.plot([each.time for each in looks], scores, "o", color=colour, label=f"version {version}")
    below.axhline(story.inspections[0].threshold, color=GREY, linestyle="--", linewidth=1, label="limit")
    for axes in (above, below):
        for when, _ in story.events:
            axes.axvline(when, color=GREY, linewidth=0.8, alpha=0.6)
        axes.grid(axis="y", alpha=0.3)
        axes.legend(loc="lower right", fontsize=8)
    for number, (when, mark) in enumerate(story.events):
        place = (when, 1.02 + 0.07 * (number % 3))
        above.annotate(mark, place, xycoords=("data", "axes fraction"), fontsize=8, ha="left", color=GREY)
    above.set_ylabel(f"right answers, each {BIN_SECONDS} s")
    below.set_ylabel("evidence of drift, −log₁₀ p")
    below.set_xlabel("time, UTC")
    below.xaxis.set_major_formatter(DateFormatter("%H:%M"))
    figure.savefig(out, dpi=110)
    return out


def _accuracy(story: Story, version: str) -> tuple[list[datetime], list[float], list[float]]:
    """By bin: its middle, the share of right answers, and the standard error of that."""
    rows = [row for row in story.rows if row.version == version and row.answer]
    bins: dict[int, list[bool]] = {}
    for row in rows:
        place = int(datetime.fromisoformat(row.time).timestamp() // BIN_SECONDS)
        bins.setdefault(place, []).append(row.answer == row.label)
    zone = story.events[0][0].tzinfo
    middle = timedelta(seconds=BIN_SECONDS / 2)
    times = [datetime.fromtimestamp(place * BIN_SECONDS, zone) + middle for place in sorted(bins)]
    shares = [float(np.mean(bins[place])) for place in sorted(bins)]
    counts = [len(bins[place]) for place in sorted(bins)]
    errors = [float(np.sqrt(p * (1 - p) / n)) for p, n in zip(shares, counts, strict=True)]
    return times, shares, errors

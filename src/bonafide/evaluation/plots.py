"""Charts as self-contained SVG that follows the reader's light or dark setting.

Every function returns a ``data:`` URI for the ``src`` of an ``<img>``. Colours are those of Okabe & Ito
(2008), which stay apart for colour-blind eyes; nothing is told by colour alone.
"""

import base64
import io
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from bonafide.evaluation.importance import Importance
from bonafide.evaluation.intervals import TOO_FEW, Interval
from bonafide.evaluation.metrics import LabelMetrics, Metrics, SliceMetrics
from bonafide.evaluation.robustness import Degraded
from bonafide.pages import number, signed

INK, MUTED, GRID, PAPER = "#1c2127", "#5c6773", "#d9dee4", "#fdfdfd"
BLUE, ORANGE, GREEN, PURPLE = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
SERIES = (BLUE, ORANGE, GREEN, PURPLE, INK)

DARK = {
    INK: "#e8ebee",
    MUTED: "#a3adb8",
    GRID: "#353c45",
    PAPER: "#14171b",
    BLUE: "#56b4e9",
    ORANGE: "#f0803c",
    GREEN: "#2bc49a",
    PURPLE: "#dd96bd",
}

STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "bonafide",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.parse_math": False,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": GRID,
    "axes.facecolor": "none",
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "figure.facecolor": "none",
    "savefig.transparent": True,
}

BARS: dict[str, Any] = {"color": BLUE, "height": 0.62, "ecolor": INK, "error_kw": {"lw": 1.2, "capsize": 2}}

DEEPEST = 0.5
"""Opacity of a full cell, through which its text keeps a contrast of 4.5 in both themes."""

WIDTH = 5.6
"""Inches: 403 CSS pixels at 72 dots an inch, so that text stays readable on a phone."""


def confusion_matrix(metrics: Metrics) -> str:
    """Counts and the share of each row; rows are the truth, columns the answer."""
    counts, names = np.array(metrics.confusion), list(metrics.labels)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    size = len(names)
    with rc_context(STYLE | {"axes.grid": False, "xtick.labelcolor": INK}):
        figure = Figure((WIDTH, 0.9 + 0.85 * size), layout="constrained")
        axes = figure.subplots()
        for (row, column), share in np.ndenumerate(shares):
            colour = BLUE if row == column else ORANGE
            place = (column - 0.48, row - 0.48)
            axes.add_patch(Rectangle(place, 0.96, 0.96, color=colour, alpha=DEEPEST * share, lw=0))
            axes.text(column, row - 0.08, f"{share:.0%}", ha="center", size=12, weight="bold")
            axes.text(column, row + 0.24, f"{counts[row, column]:,}", ha="center", size=8.5)
        axes.set(xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5), xlabel="answered", ylabel="truth")
        axes.set_xticks(range(size), names)
        axes.set_yticks(range(size), names)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        return svg(figure)


def reliability_diagram(metrics: Metrics) -> str:
    """Accuracy against confidence in 15 bins, above how many inputs fell in each (Guo et al. 2017)."""
    bins = [each for each in metrics.reliability if each.n]
    middles = [(each.low + each.high) / 2 for each in metrics.reliability]
    width = 0.9 / len(metrics.reliability)
    with rc_context(STYLE | {"ytick.labelcolor": MUTED}):
        figure = Figure((WIDTH, 4.4), layout="constrained")
        above, below = figure.subplots(2, sharex=True, height_ratios=[3, 1])
        above.plot([0, 1], [0, 1], color=MUTED, lw=1, ls="--", label="perfectly calibrated")
        above.plot(
            [each.confidence for each in bins],
            [each.accuracy for each in bins],
            color=BLUE,
            marker="o",
            ms=5,
            label="measured",
        )
        above.set(ylabel="accuracy", xlim=(0, 1), ylim=(0, 1.03))
        above.legend(loc="upper left")
        below.bar(middles, [each.n for each in metrics.reliability], width, color=BLUE, alpha=0.55)
        below.set(xlabel="confidence of the answer", ylabel=f"{metrics.noun}s")
        below.yaxis.set_major_locator(MaxNLocator(3, integer=True))
        return svg(figure)


def slice_accuracy(slices: Mapping[str, SliceMetrics], unseen: Collection[str] = ()) -> str:
    """Accuracy of each value of a slice with its interval; ``unseen`` values are hollow and named so."""
    rows = [
        (f"{value} (unseen)" if value in unseen else value, each.accuracy, value in unseen)
        for value, each in reversed([*slices.items()])
    ]
    return _intervals(rows, "accuracy")


def label_f1(labels: Mapping[str, LabelMetrics]) -> str:
    """F1 of each label with its interval."""
    return _intervals([(name, each.f1, False) for name, each in reversed([*labels.items()])], "F1")


def training_curves(history: Sequence[Mapping[str, float]]) -> str:
    """Losses above, everything else below, by epoch.

    Args:
        history: one mapping an epoch, e.g. ``{"epoch": 1, "train_loss": 0.7, "val_accuracy": 0.8}``;
            what starts with ``train`` is dashed.
    """
    names = [name for name in dict.fromkeys(key for row in history for key in row) if name != "epoch"]
    groups = {
        "loss": [name for name in names if "loss" in name],
        "score": [name for name in names if "loss" not in name and "rate" not in name and name != "lr"],
    }
    panels = {title: group for title, group in groups.items() if group}
    epochs = [row.get("epoch", index) for index, row in enumerate(history, start=1)]
    with rc_context(STYLE | {"ytick.labelcolor": MUTED}):
        figure = Figure((WIDTH, 0.5 + 2 * max(1, len(panels))), layout="constrained")
        grid = figure.subplots(max(1, len(panels)), sharex=True, squeeze=False)[:, 0]
        for axes, (title, group) in zip(grid, panels.items(), strict=False):
            for colour, name in zip(SERIES * len(group), group, strict=False):
                values = [row.get(name, np.nan) for row in history]
                style = "--" if name.startswith("train") else "-"
                axes.plot(epochs, values, color=colour, ls=style, lw=1.8, label=name.replace("_", " "))
            axes.set_ylabel(title)
            axes.legend(ncols=2, fontsize=8)
        grid[-1].set_xlabel("epoch")
        grid[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
        return svg(figure)


def robustness_bars(results: Sequence[Degraded], undegraded: float) -> str:
    """Accuracy under each degradation; a dashed line marks the accuracy on images as they are."""
    names = [each.title for each in results]
    values = [each.accuracy for each in results]
    with rc_context(STYLE | {"axes.grid.axis": "x"}):
        figure = Figure((WIDTH, 0.8 + 0.32 * len(results)), layout="constrained")
        axes = figure.subplots()
        axes.barh(names, values, color=BLUE, height=0.62)
        for row, value in enumerate(values):
            axes.text(1.02, row, number(value), va="center")
        axes.axvline(undegraded, color=ORANGE, ls="--", lw=1.5)
        label = f"undegraded {undegraded:.3f}"
        axes.text(undegraded, -0.75, label, ha="right", color=ORANGE, size=8.5, weight="bold")
        axes.set(xlim=(0, 1), xlabel="accuracy")
        axes.set_ylim(len(results) - 0.4, -1.1)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        return svg(figure)


def importance_bars(found: Sequence[Importance]) -> str:
    """Accuracy lost without each column, with the standard deviation of the shuffles."""
    rows = [*reversed(found)]
    with rc_context(STYLE | {"axes.grid.axis": "x"}):
        figure = Figure((WIDTH, 0.8 + 0.36 * len(rows)), layout="constrained")
        axes = figure.subplots()
        places = range(len(rows))
        axes.barh(places, [each.lost for each in rows], xerr=[each.spread for each in rows], **BARS)
        for row, each in enumerate(rows):
            axes.text(1.04, row, signed(each.lost), transform=axes.get_yaxis_transform(), va="center")
        axes.axvline(0, color=MUTED, lw=1)
        axes.set_yticks(places, [each.column for each in rows])
        axes.set_xlabel("accuracy lost")
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        return svg(figure)


def _intervals(rows: Sequence[tuple[str, Interval, bool]], measure: str) -> str:
    with rc_context(STYLE | {"axes.grid.axis": "x"}):
        figure = Figure((WIDTH, 0.75 + 0.36 * len(rows)), layout="constrained")
        axes = figure.subplots()
        for row, (_, interval, hollow) in enumerate(rows):
            axes.plot([interval.low, interval.high], [row, row], color=BLUE, lw=3, alpha=0.45)
            (dot,) = axes.plot(interval.value, row, "D" if hollow else "o", mec=BLUE, mfc=_fill(hollow))
            dot.set(markersize=7, markeredgewidth=1.6, clip_on=False)
            told = number(interval.value) + ("" if interval.ends else f", {TOO_FEW}")
            axes.text(1.04, row, told, transform=axes.get_yaxis_transform(), va="center")
        axes.set_yticks(range(len(rows)), [name for name, _, _ in rows])
        lowest = np.nanmin([0.95, *(end for _, each, _ in rows for end in (each.low, each.value))])
        axes.set(xlim=(max(0.0, np.floor(lowest * 10 - 0.5) / 10), 1), ylim=(-0.6, len(rows) - 0.4))
        axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        axes.set_xlabel(f"{measure}, with its 95 % interval")
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        return svg(figure)


def _fill(hollow: bool) -> str:
    return PAPER if hollow else BLUE


def svg(figure: Figure) -> str:
    """The figure as a ``data:`` URI whose colours follow the reader's setting."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    drawing = buffer.getvalue().replace(
        "'DejaVu Sans'", "system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
    )
    for index, colour in enumerate(DARK):
        drawing = drawing.replace(colour, f"var(--c{index})")
    light = "".join(f"--c{index}:{colour};" for index, colour in enumerate(DARK))
    dark = "".join(f"--c{index}:{colour};" for index, colour in enumerate(DARK.values()))
    theme = f":root{{{light}}}@media(prefers-color-scheme:dark){{:root{{{dark}}}}}"
    drawing = drawing.replace("</style>", f"{theme}</style>", 1)
    return "data:image/svg+xml;base64," + base64.b64encode(drawing.encode()).decode()

"""What changed, as charts in the style of :mod:`bonafide.evaluation.plots`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bonafide.drift.judge import Detector, LabelShare
from bonafide.evaluation.plots import BLUE, MUTED, ORANGE, STYLE, WIDTH, svg

POINTS, BINS, MOST = 1000, 24, 6.0


def evidence(detectors: Sequence[Detector], alpha: float) -> str:
    """The corrected p-values of the detectors that decide, as powers of ten up to ``MOST``, and the level."""
    deciding = [each for each in detectors if each.adjusted is not None][::-1]
    scores = [min(MOST, -np.log10(each.adjusted or 1.0)) for each in deciding]
    with rc_context(STYLE | {"axes.grid.axis": "x"}):
        figure = Figure((WIDTH, 0.9 + 0.36 * len(deciding)), layout="constrained")
        axes = figure.subplots()
        colours = [ORANGE if each.found else BLUE for each in deciding]
        axes.barh([each.name for each in deciding], scores, color=colours, height=0.6)
        axes.axvline(-np.log10(alpha), color=MUTED, ls="--", lw=1.2, label=f"level {alpha:g}")
        axes.set(xlabel=f"powers of ten that the corrected p-value is below 1, up to {MOST:g}")
        axes.set_xlim(0, MOST * 1.05)
        axes.legend(loc="best")
        axes.tick_params(axis="y", length=0)
        return svg(figure)


def mix(shares: Sequence[LabelShare]) -> str:
    """Each label's share in the reference, and in the window with its interval."""
    with rc_context(STYLE | {"axes.grid.axis": "x"}):
        figure = Figure((WIDTH, 0.9 + 0.5 * len(shares)), layout="constrained")
        axes = figure.subplots()
        for row, share in enumerate(shares[::-1]):
            first = row == 0
            axes.plot([share.low, share.high], [row - 0.12] * 2, color=ORANGE, lw=3, alpha=0.45)
            axes.plot(share.window, row - 0.12, "D", color=ORANGE, label="window" if first else None)
            axes.plot(share.reference, row + 0.12, "o", color=BLUE, label="reference" if first else None)
        axes.set_yticks(range(len(shares)), [share.label for share in shares[::-1]])
        axes.set(
            xlim=(-0.02, 1.02),
            ylim=(-0.6, len(shares) - 0.4),
            xlabel="share of the label, with its 95 % interval",
        )
        axes.legend(loc="best")
        axes.tick_params(axis="y", length=0)
        return svg(figure)


def scatter(reference: NDArray[Any], window: NDArray[Any]) -> str:
    """Both along the two directions in which they vary most together; at most ``POINTS`` of each."""
    both = np.concatenate([reference, window]).astype(np.float64)
    both -= both.mean(0)
    directions = np.linalg.svd(both, full_matrices=False)[2][:2]
    flat = np.pad(both @ directions.T, ((0, 0), (0, 2 - len(directions))))
    parts = (
        ("reference", flat[: len(reference)], BLUE, "o"),
        ("window", flat[len(reference) :], ORANGE, "x"),
    )
    with rc_context(STYLE | {"ytick.labelcolor": MUTED}):
        figure = Figure((WIDTH, 4.2), layout="constrained")
        axes = figure.subplots()
        for name, points, colour, marker in parts:
            shown = points[:: -(-len(points) // POINTS)]
            axes.scatter(
                shown[:, 0], shown[:, 1], s=12, color=colour, marker=marker, alpha=0.5, lw=0.8, label=name
            )
        axes.set(xlabel="first direction", ylabel="second direction")
        axes.legend(loc="best")
        return svg(figure)


def distribution(reference: NDArray[Any], window: NDArray[Any], name: str) -> str:
    """How often each value is: shares of the reference and of the window."""
    sides = [values[np.isfinite(values)] for values in (reference.ravel(), window.ravel())]
    low, high = min(each.min() for each in sides), max(each.max() for each in sides)
    edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
    with rc_context(STYLE | {"ytick.labelcolor": MUTED}):
        figure = Figure((WIDTH, 2.4), layout="constrained")
        axes = figure.subplots()
        for title, values, colour, style in zip(
            ("reference", "window"), sides, (BLUE, ORANGE), ("-", "--"), strict=True
        ):
            shares = np.histogram(values, edges)[0] / len(values)
            axes.stairs(shares, edges, color=colour, ls=style, lw=1.8, label=title)
        axes.set(xlabel=name, ylabel="share")
        axes.legend(loc="best")
        return svg(figure)

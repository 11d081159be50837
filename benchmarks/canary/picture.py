"""Evidence over requests, of good canaries and of bad ones."""

import math
from pathlib import Path

import numpy as np

from benchmarks.canary.judge import Rollouts
from benchmarks.canary.traffic import Array, World
from bonafide.delivery.rollout.settings import RolloutSettings

LINES = 12
WORLDS = {"no difference": World(20), "errors 0.5 % → 1 %": World(20, canary_errors=0.01)}
COLOURS = ("#00796b", "#c62828")


def draw(path: Path) -> None:
    """Write the picture as SVG."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "bonafide"
    from matplotlib import pyplot

    settings = RolloutSettings()
    figure, axes = pyplot.subplots(1, 2, figsize=(11, 4))
    bounds = (settings.alpha, "rolls back"), (settings.advance_alpha, "goes a step further")
    for which, (axis, (alpha, what)) in enumerate(zip(axes, bounds, strict=True)):
        for (name, world), colour in zip(WORLDS.items(), COLOURS, strict=True):
            for requests, logs in evidence(world, which):
                axis.plot(requests, logs / math.log(10), color=colour, linewidth=0.9, label=name)
                name = None
        axis.axhline(-math.log10(alpha), color="black", linestyle="--", linewidth=1)
        axis.text(
            0.99,
            -math.log10(alpha),
            f"{1 / alpha:g}: {what}",
            ha="right",
            va="bottom",
            fontsize=9,
            transform=axis.get_yaxis_transform(),
        )
        axis.set_xlabel("canary requests")
        axis.set_ylim(-4, 4)
    axes[0].set_title("evidence of harm (powers of ten)", fontsize=10)
    axes[1].set_title("evidence that errors keep their margin, at 10 %", fontsize=10)
    axes[0].legend(fontsize=9, loc="lower right")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def evidence(world: World, which: int) -> list[tuple[Array, Array]]:
    """Requests and logarithms of a few rollouts, after each window at the first share of the traffic.

    Args:
        which: 0 for the combined evidence of harm, 1 for the one that errors keep their margin.
    """
    settings = RolloutSettings(steps=RolloutSettings().steps[1:])
    rollouts = Rollouts(world, LINES, np.random.default_rng(3), settings)
    lines: list[list[tuple[int, float]]] = [[] for _ in range(LINES)]
    while any(each is None for each in rollouts.ended):
        rollouts.tick()
        logs = (rollouts.evidence()[0], rollouts.judged[0].safe)[which]
        for run, line in enumerate(lines):
            if rollouts.weight[run] == settings.steps[0] and (
                not line or rollouts.requests[run] > line[-1][0]
            ):
                line.append((int(rollouts.requests[run]), float(logs[run])))
    return [tuple(np.array(line).T) for line in lines]

"""Evidence over requests, of good canaries and of bad ones."""

from pathlib import Path

import numpy as np

from benchmarks.canary.judge import Rollouts
from benchmarks.canary.traffic import Array, World
from bonafide.delivery.rollout.settings import RolloutSettings

LINES = 12
WORLDS = {"no difference": World(20), "errors 0.5 % → 1 %": World(20, canary_errors=0.01)}
COLOURS = ("#00796b", "#c62828")
DEFAULTS = RolloutSettings()
BOUNDS = (DEFAULTS.alpha, "rolls back"), (DEFAULTS.advance_alpha, "goes a step further")
TITLES = ("evidence of harm, all checks together", "evidence that each check keeps its margin, the least")


class Watched(Rollouts):
    """Rollouts at their first share of the traffic; notes what each window shows before it is judged.

    Attributes:
        seen: window by window the requests, and logarithms of the evidence of harm and of the least that a
            check is safe; one a rollout.
    """

    def __init__(self, world: World) -> None:
        settings = RolloutSettings(steps=DEFAULTS.steps[1:])
        super().__init__(world, LINES, np.random.default_rng(3), settings, until=settings.steps[1])
        self.seen: list[list[tuple[float, float, float]]] = [[(0, 0, 0)] for _ in range(LINES)]

    def evidence(self) -> tuple[Array, Array]:
        """As the judge has it."""
        harm, safe = super().evidence()
        for run, line in enumerate(self.seen):
            if self.ended[run] is None and self.requests[run] > line[-1][0]:
                line.append((self.requests[run], harm[run], safe[run]))
        return harm, safe


def draw(path: Path) -> None:
    """Write the picture as SVG."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "bonafide"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(11, 4))
    for (name, world), colour in zip(WORLDS.items(), COLOURS, strict=True):
        for requests, *both in watch(world):
            for axis, logs in zip(axes, both, strict=True):
                axis.plot(requests, np.exp(logs), color=colour, linewidth=0.9, label=name)
            name = None
    for axis, title, (alpha, what) in zip(axes, TITLES, BOUNDS, strict=True):
        axis.axhline(1 / alpha, color="black", linestyle="--", linewidth=1, label=f"{1 / alpha:g}: {what}")
        axis.set(title=title, xlabel="canary requests", yscale="log")
        axis.yaxis.set_major_formatter("{x:g}")
        axis.margins(x=0.02, y=0.08)
    axes[0].legend(loc="upper right", fontsize=9)
    axes[1].legend(handles=axes[1].lines[-1:], loc="lower right", fontsize=9)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def watch(world: World) -> list[Array]:
    """Of each rollout what was seen, FP64 [3, W]."""
    rollouts = Watched(world)
    rollouts.run()
    return [np.array(line).T for line in rollouts.seen]

"""Images: what is shown of their answers, and the looks that drift is told by."""

from pathlib import Path

import numpy as np

from bonafide.data.dataset import images
from bonafide.data.looks import looks
from bonafide.evaluation.examined import Asked, Examined
from bonafide.evaluation.failures import confident_errors, representatives
from bonafide.evaluation.gallery import Tile
from bonafide.evaluation.robustness import Degraded, robustness
from bonafide.model.answers import classify, pixels_of

WRONG, RIGHT = 12, 4


def examine(asked: Asked) -> Examined:
    """Accuracy under degradations; the most confident wrong answers and some typical right ones."""
    return Examined(tuple(_robustness(asked)), tuple(_tiles(asked)))


def describe(dataset: Path, split: str) -> list[dict[str, float]]:
    """:func:`bonafide.data.looks.looks` of each image of a split, in its order.

    Raises:
        DataError: the split is not there.
    """
    return [looks(content) for _, content in images(dataset, split)]


def _robustness(asked: Asked) -> list[Degraded]:
    count = asked.settings.robustness_images
    chosen = np.random.default_rng(asked.seed).permutation(len(asked.truth))[:count]
    seen = pixels_of(asked.dataset, asked.split, chosen.tolist(), asked.model.info.image.size)
    pixels = np.stack([seen[row] for row in chosen.tolist()])
    return robustness(lambda batch: classify(asked.model, batch), pixels, asked.truth[chosen])


def _tiles(asked: Asked) -> list[Tile]:
    """None where there are no heat maps."""
    if "heatmap" not in asked.answers:
        return []
    truth, decided, info = asked.truth, asked.decided, asked.model.info
    shown = [*confident_errors(truth, decided, WRONG), *representatives(truth, decided, RIGHT)]
    pixels = pixels_of(asked.dataset, asked.split, map(int, shown), info.image.size)
    return [
        Tile(
            pixels[int(row)],
            asked.answers["heatmap"][row],
            truth=info.labels[truth[row]],
            predicted=info.labels[decided.label[row]],
            confidence=float(decided.confidence[row]),
            caption=asked.captions[row],
        )
        for row in shown
    ]

"""Heat maps as pictures."""

import math

import numpy as np
import numpy.typing as npt
from PIL import Image

from bonafide.data.decoding import Pixels, fit

SIDE = 256
GAP = 8
STRENGTH = 0.75
INFERNO = np.array([(0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164)])


def beside(pixels: Pixels, heatmap: npt.NDArray[np.float32]) -> Pixels:
    """What the model saw, and beside it the same under its heat map.

    Args:
        pixels: uint8 [H, W, 3], RGB.
        heatmap: float32 [h, w], zero or above; drawn relative to its own maximum.

    Returns:
        uint8 [256, 520, 3].
    """
    original = fit(pixels, SIDE)
    heat = np.array(Image.fromarray(heatmap).resize((SIDE, SIDE), Image.Resampling.BICUBIC)).clip(0)
    heat = heat / heat.max() if heat.max() > 0 else heat
    anchors = np.linspace(0, 1, len(INFERNO))
    colour = np.stack([np.interp(heat, anchors, channel) for channel in INFERNO.T], axis=-1)
    weight = STRENGTH * heat[..., None]
    overlaid = (original * (1 - weight) + colour * weight).round().astype(np.uint8)
    return np.concatenate([original, np.full((SIDE, GAP, 3), 255, np.uint8), overlaid], axis=1)


def sheet(pictures: list[Pixels]) -> Pixels:
    """Pictures of one size in a grid about as wide as high, row by row, on white."""
    height, width = pictures[0].shape[:2]
    columns = max(1, round(math.sqrt(len(pictures) * height / width)))
    rows = math.ceil(len(pictures) / columns)
    below, aside = height + GAP, width + 3 * GAP
    whole = np.full((rows * below - GAP, columns * aside - 3 * GAP, 3), 255, np.uint8)
    for index, picture in enumerate(pictures):
        row, column = divmod(index, columns)
        top, left = row * below, column * aside
        whole[top : top + height, left : left + width] = picture
    return whole

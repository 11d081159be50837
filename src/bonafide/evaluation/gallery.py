"""Pictures beside what the model looked at."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 192
"""Pixels of a tile's longer side."""


@dataclass(frozen=True)
class Tile:
    """One image, the evidence map of the answer, and the answer.

    Args:
        pixels: uint8 [H, W, 3].
        heatmap: float32 [h, w], any scale; what is below 0 counts as no evidence.
        truth: the true label.
        predicted: the answered label.
        confidence: its probability.
        caption: where the image is from, e.g. its generator.
    """

    pixels: NDArray[np.uint8]
    heatmap: NDArray[np.float32]
    truth: str
    predicted: str
    confidence: float
    caption: str = ""

    @property
    def correct(self) -> bool:
        """Whether the answer is the truth."""
        return self.truth == self.predicted


def overlay(pixels: NDArray[np.uint8], heatmap: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Lay the map, scaled to its own maximum, over the greyed image: uint8 [H, W, 3].

    The map is resized bilinearly. The colours are ``inferno``; opacity grows with the evidence.
    """
    from matplotlib import colormaps

    height, width = pixels.shape[:2]
    evidence = np.nan_to_num(np.maximum(heatmap, 0)).astype(np.float32)
    evidence /= max(float(evidence.max(initial=0)), 1e-12)
    resized = Image.fromarray(evidence).resize((width, height), Image.Resampling.BILINEAR)
    strength = np.asarray(resized, dtype=np.float32)[..., None]
    colour = colormaps["inferno"](strength[..., 0])[..., :3] * 255
    grey = pixels.mean(2, keepdims=True)
    mixed: NDArray[np.float64] = grey + 0.75 * strength * (colour - grey)
    return mixed.clip(0, 255).astype(np.uint8)


def tile_image(tile: Tile) -> str:
    """The original beside its overlay, enlarged, as a PNG ``data:`` URI."""
    height, width = tile.pixels.shape[:2]
    scale = SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    filter_ = Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.LANCZOS
    original = Image.fromarray(tile.pixels).resize(size, filter_)
    large = np.asarray(original)
    pair = np.concatenate([large, overlay(large, tile.heatmap)], axis=1)
    buffer = io.BytesIO()
    Image.fromarray(pair).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def gallery(tiles: Sequence[Tile]) -> list[tuple[Tile, str]]:
    """Each tile with its picture, for a template to lay out."""
    return [(tile, tile_image(tile)) for tile in tiles]

"""Images beside the evidence that the model found in them."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 384
"""Pixels that an image's longer side is brought near to: twice what the page shows, for dense screens."""

LEGEND = 256, 12
"""Width and height of the colour legend."""


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


class Shown(NamedTuple):
    """A tile with its two pictures, as ``data:`` URIs."""

    tile: Tile
    image: str
    evidence: str


def gallery(tiles: Sequence[Tile]) -> list[Shown]:
    """Each tile with its pictures, for a template to lay out and label.

    A small image is enlarged by a whole number, so that its pixels stay squares.
    """
    return [_shown(tile, _reduced(tile.pixels)) for tile in tiles]


def legend() -> str:
    """The colours of :func:`overlay` from no evidence to the strongest, as a ``data:`` URI."""
    width, height = LEGEND
    ramp = np.linspace(0, 1, width, dtype=np.float32)[None]
    return _uri(overlay(np.full((height, width, 3), 128, np.uint8), ramp))


def _shown(tile: Tile, pixels: NDArray[np.uint8]) -> Shown:
    return Shown(tile, _uri(_enlarged(pixels)), _uri(_enlarged(overlay(pixels, tile.heatmap))))


def _reduced(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    image = Image.fromarray(pixels)
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return np.asarray(image)


def _enlarged(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    factor = SIDE // max(pixels.shape)
    return pixels.repeat(factor, 0).repeat(factor, 1)


def _uri(pixels: NDArray[np.uint8]) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()

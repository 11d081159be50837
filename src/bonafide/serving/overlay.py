"""Heat maps as pictures."""

import math
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from bonafide.data.decoding import ORIENTATION, SIDEWAYS, UPRIGHT, Pixels, fit, shrink
from bonafide.data.header import DAMAGE, open_header

SIDE = 256
GAP = 8
SHORTER_SIDE = 224
LONGER_SIDE = 1024
LEVELS = 64
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
    colour = _inferno(heat)
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


def overlay(size: tuple[int, int], heatmap: npt.NDArray[np.float32]) -> Image.Image:
    """A heat map to lay over a whole image: clear outside of the centre crop that the model saw.

    Args:
        size: (width, height) of the upright image, in pixels.
        heatmap: float32 [h, w], zero or above; drawn relative to its own maximum.

    Returns:
        a palette image in the image's proportions, its shorter side 224 pixels (less for a panorama, whose
        longer side is 1,024), with opacity in ``info["transparency"]``.
    """
    scale = min(SHORTER_SIDE / min(size), LONGER_SIDE / max(size))
    width, height = (max(1, round(length * scale)) for length in size)
    side = min(width, height)
    heat = Image.fromarray((heatmap * (255 / (heatmap.max() or 1))).round().astype(np.uint8))
    heat = heat.resize((side, side), Image.Resampling.BICUBIC).point(_LEVEL)
    whole = Image.new("P", (width, height))
    whole.paste(heat, ((width - side) // 2, (height - side) // 2))
    whole.putpalette(_PALETTE)
    whole.info["transparency"] = _OPACITY
    return whole


def upright_size(content: bytes) -> tuple[int, int]:
    """(width, height) of an image file once it is turned upright; no pixel is decoded.

    A PNG may say how to turn it behind its pixels; only then they are read.

    Raises:
        ImageError: the file is refused.
    """
    image = open_header(content)
    try:
        exif = image.getexif() if b"eXIf" in content else Image.Image.getexif(image)
        turn = UPRIGHT.get(exif.get(ORIENTATION, 1))
    except DAMAGE:  # broken metadata around a sound picture
        return image.size
    width, height = image.size
    return (height, width) if turn in SIDEWAYS else (width, height)


def layer(content: bytes | memoryview, heatmap: npt.NDArray[np.float32]) -> bytes:
    """A PNG file of a heat map to lay over a whole image, as of :func:`overlay`.

    Raises:
        ImageError: the file is refused.
    """
    return png(overlay(upright_size(bytes(content)), heatmap))


def blended(content: bytes | memoryview, heatmap: npt.NDArray[np.float32]) -> bytes:
    """A PNG file of a whole image, small, with its heat map laid over it.

    Raises:
        ImageError: the file is refused.
    """
    content = bytes(content)
    heat = overlay(upright_size(content), heatmap)
    picture = Image.fromarray(shrink(content, heat.size)).convert("RGBA")
    return png(Image.alpha_composite(picture, heat.convert("RGBA")).convert("RGB"))


def png(image: Image.Image) -> bytes:
    """A PNG file, made quickly rather than small."""
    stream = BytesIO()
    image.save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def _inferno(heat: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float64]:
    """RGB of intensities 0 to 1."""
    anchors = np.linspace(0, 1, len(INFERNO))
    return np.stack([np.interp(heat, anchors, channel) for channel in INFERNO.T], axis=-1)


_LEVEL = [value * LEVELS // 256 for value in range(256)]
_STEPS = np.linspace(0, 1, LEVELS)
_PALETTE = _inferno(_STEPS).round().astype(np.uint8).tobytes()
_OPACITY = (255 * STRENGTH * _STEPS).round().astype(np.uint8).tobytes()

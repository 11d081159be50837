"""What training images go through, so that a model looks at what its task is about and not at the rest."""

import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

DEGRADE = 0.1
SHIFT = 1 / 8
CUT_OUT = 0.5

Pixels = NDArray[np.uint8]
Augmentation = Callable[[Pixels, np.random.Generator], Pixels]
"""Takes and returns uint8 [S, S, 3]."""


def traces(pixels: Pixels, random: np.random.Generator) -> Pixels:
    """Turn, flip, change brightness and contrast, and now and then re-encode, blur or resize.

    A detector looks at traces and not at content or encoding. The rare degradations follow Wang et al. 2020
    (CNN-generated images are surprisingly easy to spot, §4), kept mild because small images carry their
    traces in the last bits.
    """
    turned = np.rot90(pixels, int(random.integers(4)))
    if random.random() < 0.5:
        turned = turned[:, ::-1]
    image = _lit(turned, random)
    return _degrade(image, random) if random.random() < DEGRADE else image


def content(pixels: Pixels, random: np.random.Generator) -> Pixels:
    """Mirror, shift, change brightness and contrast, and cover a part: a thing stays what it is, and upright.

    Shifts are those of He et al. 2016 (Deep residual learning, §4.2), the covered square follows DeVries and
    Taylor 2017 (Cutout).
    """
    size = len(pixels)
    most = int(size * SHIFT)
    padded = np.pad(pixels, ((most, most), (most, most), (0, 0)), mode="reflect")
    top, left = random.integers(2 * most + 1, size=2)
    shifted = padded[top : top + size, left : left + size]
    image = _lit(shifted[:, ::-1] if random.random() < 0.5 else shifted, random)
    if random.random() < CUT_OUT:
        side = size // 3
        top, left = random.integers(size - side + 1, size=2)
        image[top : top + side, left : left + side] = image.mean(axis=(0, 1))
    return image


AUGMENTATIONS: dict[str, Augmentation] = {"traces": traces, "content": content}


def _lit(pixels: Pixels, random: np.random.Generator) -> Pixels:
    contrast, brightness = random.uniform(0.7, 1.3), random.uniform(-25, 25)
    changed = (pixels.astype(np.float32) - 127.5) * contrast + 127.5 + brightness
    return changed.clip(0, 255).round().astype(np.uint8)


def _degrade(pixels: Pixels, random: np.random.Generator) -> Pixels:
    image, size = Image.fromarray(pixels), len(pixels)
    match random.integers(3):
        case 0:
            stream = io.BytesIO()
            image.save(stream, "JPEG", quality=int(random.integers(60, 96)))
            image = Image.open(stream)
        case 1:
            image = image.filter(ImageFilter.GaussianBlur(random.uniform(0.1, 1.0)))
        case _:
            smaller = int(size * random.uniform(0.6, 1.0))
            image = image.resize((smaller, smaller), Image.Resampling.BILINEAR).resize((size, size))
    return np.asarray(image)

"""What training images go through, so that the detector looks at traces and not at content or encoding."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

DEGRADE = 0.1


def augment(pixels: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    """Turn, flip, change brightness and contrast, and now and then re-encode, blur or resize.

    The rare degradations follow Wang et al. 2020 (CNN-generated images are surprisingly easy to spot, §4),
    kept mild because small images carry their traces in the last bits.

    Args:
        pixels: uint8 [S, S, 3].

    Returns:
        uint8 [S, S, 3].
    """
    turned = np.rot90(pixels, int(random.integers(4)))
    if random.random() < 0.5:
        turned = turned[:, ::-1]
    contrast, brightness = random.uniform(0.7, 1.3), random.uniform(-25, 25)
    shifted = (turned.astype(np.float32) - 127.5) * contrast + 127.5 + brightness
    image = shifted.clip(0, 255).round().astype(np.uint8)
    return _degrade(image, random) if random.random() < DEGRADE else image


def _degrade(pixels: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
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

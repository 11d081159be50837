"""What a person can say of a picture without a model: how large, how bright, how strongly compressed."""

from functools import cache
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from bonafide.data.decoding import decode_to
from bonafide.data.header import open_header

STATISTICS = ("width", "height", "brightness", "jpeg_quality")
PREFIX = "statistics."  # of their names where they stand among other arrays
LUMA = np.array([0.299, 0.587, 0.114])
SMALL = 32


def statistics(content: bytes) -> dict[str, float]:
    """``width`` and ``height`` in pixels, ``brightness`` from 0 to 1, ``jpeg_quality`` from 1 to 100.

    Brightness is the mean of the centre of the picture. The quality is that of the usual encoder with
    quantisation as coarse; NaN for other formats.

    Raises:
        ImageError: as :func:`bonafide.data.decoding.decode`.
    """
    image = open_header(content)
    tables = getattr(image, "quantization", None)
    brightness = float((decode_to(content, SMALL) @ LUMA).mean() / 255)
    values = (image.width, image.height, brightness, _quality(sum(tables[0])) if tables else np.nan)
    return dict(zip(STATISTICS, map(float, values), strict=True))


def _quality(total: int) -> float:
    """Of the usual encoder's, the quality whose table for luminance has the nearest sum."""
    return float(np.abs(_sums() - total).argmin() + 1)


@cache
def _sums() -> NDArray[np.int64]:
    """By quality from 1 to 100, as Pillow's encoder writes them."""
    sums = []
    for quality in range(1, 101):
        stream = BytesIO()
        Image.new("L", (8, 8)).save(stream, "JPEG", quality=quality)
        sums.append(sum(JpegImageFile(BytesIO(stream.getvalue())).quantization[0]))
    return np.array(sums)

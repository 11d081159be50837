"""What an image file looks like in a few numbers, so that people can see what changed."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from bonafide.data.header import damage_is_refused, open_header

COARSE = (16, 16)
# Of the JPEG standard, ITU-T T.81, table K.1, which libjpeg scales by the quality.
_LUMINANCE = """
    16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56 14 17 22 29 51 87 80 62
    18 22 37 56 68 109 103 77 24 35 55 64 81 104 113 92 49 64 78 87 103 121 120 101 72 92 95 98 112 100 103 99
"""


def looks(content: bytes, brightness: bool = True) -> dict[str, float]:
    """``width`` and ``height`` in pixels as stored, ``jpeg_quality`` of a JPEG, ``brightness`` from 0 to 1.

    Brightness is the mean luma, of a JPEG from its coarsest scale; it is the only one that decodes pixels.
    Quality is libjpeg's, from 1 to 100, whose quantisation of luma is nearest to the file's.

    Raises:
        ImageError: the file is refused.
    """
    image = open_header(content)
    found = {"width": float(image.width), "height": float(image.height)}
    tables = getattr(image, "quantization", None)
    if tables:
        found["jpeg_quality"] = float(_quality(tables[min(tables)]))
    if brightness:
        with damage_is_refused():
            image.draft("L", COARSE)
            found["brightness"] = float(np.asarray(image.convert("L"), dtype=np.float32).mean() / 255)
    return found


def _quality(table: list[int]) -> int:
    """Tables are compared sorted, because libraries disagree about their order."""
    distances = np.abs(_sorted_tables() - np.sort(np.array(table, dtype=np.int64))).sum(axis=1)
    return int(distances.argmin()) + 1


@cache
def _sorted_tables() -> NDArray[np.int64]:
    """int64 [100, 64]: a row for each quality."""
    base = np.array(_LUMINANCE.split(), dtype=np.int64)
    quality = np.arange(1, 101)
    scale = np.where(quality < 50, 5000 // quality, 200 - 2 * quality)
    return np.sort(((base * scale[:, None] + 50) // 100).clip(1, 255), axis=1)

"""From the bytes of an untrusted image file to RGB pixels, within limits. Training and serving share this."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bonafide.data.header import DAMAGE, LIMITS, Limits, damage_is_refused, open_header

Pixels = NDArray[np.uint8]
Box = tuple[float, float, float, float]

UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
MIRRORS_COLUMNS = (
    Image.Transpose.FLIP_LEFT_RIGHT,
    Image.Transpose.ROTATE_180,
    Image.Transpose.TRANSVERSE,
    Image.Transpose.ROTATE_90,
)
MIRRORS_ROWS = (
    Image.Transpose.FLIP_TOP_BOTTOM,
    Image.Transpose.ROTATE_180,
    Image.Transpose.TRANSVERSE,
    Image.Transpose.ROTATE_270,
)
SIDEWAYS = (
    Image.Transpose.TRANSPOSE,
    Image.Transpose.ROTATE_270,
    Image.Transpose.TRANSVERSE,
    Image.Transpose.ROTATE_90,
)
ORIENTATION = 0x0112


@dataclass(frozen=True)
class Decoded:
    """``pixels`` is uint8 [height, width, 3], upright RGB; width and height are those of ``pixels``."""

    pixels: Pixels
    format: str
    width: int
    height: int


def decode(content: bytes, limits: Limits = LIMITS) -> Decoded:
    """Decode one still image, whole, to upright 8-bit RGB; transparency is laid on white.

    Sizes and the number of parts are checked from the file's structure before a pixel is decoded. The
    picture is what the signature at the start says and ends where that format ends: bytes appended to it
    and foreign text in its metadata, as in a file that is also an archive or a web page, are not looked at.

    Raises:
        ImageError: with ``reason`` one of ``empty``, ``too-many-bytes``, ``not-an-image``, ``format``,
            ``too-many-pixels``, ``too-small``, ``too-complex`` (parts without end), ``truncated`` (cut off
            or damaged), ``animated``.
    """
    image = open_header(content, limits)
    with damage_is_refused():
        image.load()
        turn = _turn(image)
        upright = image if turn is None else image.transpose(turn)
        pixels = np.array(_on_white(_plain(upright)), dtype=np.uint8)
    return Decoded(pixels, str(image.format), pixels.shape[1], pixels.shape[0])


def decode_to(content: bytes, size: int, limits: Limits = LIMITS) -> Pixels:
    """Decode one still image to what a model of input ``size`` sees: uint8 [size, size, 3].

    It is :func:`fit` of :func:`decode`, but nothing is made larger than it must be. A JPEG is scaled while
    it is decoded, by 1/2, 1/4 or 1/8 in the domain of its cosine transform, as long as the shorter side
    keeps ``size`` pixels; pixels differ from ``fit`` then, and otherwise do not. Transparency is laid on
    white and the image is turned upright after it was made small.

    Raises:
        ImageError: as :func:`decode`.
    """
    image = open_header(content, limits)
    with damage_is_refused():
        width, height = image.size
        drafted = image.draft(None, (size, size))
        image.load()
        turn = _turn(image)
        box = _square(width, height, turn, drafted[1][2] / width if drafted else 1)
        small = _on_white(_resize(_plain(image), size, box))
        return np.array(small if turn is None else small.transpose(turn), dtype=np.uint8)


def shrink(content: bytes, size: tuple[int, int], limits: Limits = LIMITS) -> Pixels:
    """Decode one still image, whole and upright, to ``size`` = (width, height): uint8 [height, width, 3].

    For people to look at; a JPEG is scaled while it is decoded, as in :func:`decode_to`.

    Raises:
        ImageError: as :func:`decode`.
    """
    image = open_header(content, limits)
    with damage_is_refused():
        image.draft(None, (min(size), min(size)))
        image.load()
        turn = _turn(image)
        small = _on_white(_plain(image).resize(size[::-1] if turn in SIDEWAYS else size))
        return np.array(small if turn is None else small.transpose(turn), dtype=np.uint8)


def fit(pixels: Pixels, size: int) -> Pixels:
    """The resize rule ``shorter-side-centre-crop``: uint8 [H,W,3] to uint8 [size,size,3].

    The shorter side becomes ``size`` by antialiased bilinear interpolation and the centre is cropped,
    both in one resampling, so that a long panorama costs no more than a square. The crop starts at a
    whole pixel: where no resizing is needed, pixels stay as they are. An image that is ``size`` ×
    ``size`` already is returned itself.
    """
    height, width = pixels.shape[:2]
    if height == width == size:
        return pixels
    return np.array(_resize(Image.fromarray(pixels), size, _square(width, height)))


def _square(width: int, height: int, turn: Image.Transpose | None = None, scale: float = 1) -> Box:
    """The square in the middle, by whole pixels of the upright image, in pixels of the image at ``scale``."""
    side = min(width, height)
    left = (width - side + (turn in MIRRORS_COLUMNS)) // 2
    top = (height - side + (turn in MIRRORS_ROWS)) // 2
    return left * scale, top * scale, (left + side) * scale, (top + side) * scale


def _resize(image: Image.Image, size: int, box: Box) -> Image.Image:
    if box[2] - box[0] == size:  # resampling would round colours of transparent pixels
        left, top = round(box[0]), round(box[1])
        return image.crop((left, top, left + size, top + size))
    return image.resize((size, size), Image.Resampling.BILINEAR, box=box)


def _turn(image: Image.Image) -> Image.Transpose | None:
    try:
        orientation = image.getexif().get(ORIENTATION)
    except DAMAGE:  # broken metadata around a sound picture
        return None
    return UPRIGHT.get(orientation) if isinstance(orientation, int) else None


def _plain(image: Image.Image) -> Image.Image:
    """Any mode to one of L, LA, RGB and RGBA, 8 bits each."""
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("LA", "RGBA"):
        return image
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image if image.mode in ("L", "RGB") else image.convert("RGB")


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode not in ("LA", "RGBA"):
        return image.convert("RGB")
    coloured = image.convert("RGBA")
    white = Image.new("RGBA", coloured.size, "white")
    return Image.alpha_composite(white, coloured).convert("RGB")

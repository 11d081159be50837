"""From the bytes of an untrusted image file to RGB pixels, within limits. Training and serving share this."""

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from bonafide.errors import ImageError

Pixels = NDArray[np.uint8]

READERS: dict[str, type[ImageFile.ImageFile]] = {
    "JPEG": JpegImageFile,
    "PNG": PngImageFile,
    "WEBP": WebPImageFile,
}

UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
ORIENTATION = 0x0112

DAMAGE = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    KeyError,
    IndexError,
    TypeError,
    OverflowError,
    struct.error,
    zlib.error,
)


@dataclass(frozen=True)
class Limits:
    """What an image file may be. ``max_pixels`` is width × height; ``min_side`` is in pixels."""

    max_bytes: int = 20 * 2**20
    max_pixels: int = 50_000_000
    min_side: int = 8
    formats: tuple[str, ...] = ("JPEG", "PNG", "WEBP")


@dataclass(frozen=True)
class Decoded:
    """``pixels`` is uint8 [height, width, 3], upright RGB; width and height are those of ``pixels``."""

    pixels: Pixels
    format: str
    width: int
    height: int


def decode(content: bytes, limits: Limits = Limits()) -> Decoded:
    """Decode one still image to upright 8-bit RGB; transparency is laid on white.

    Every size is checked from the header before a pixel is decoded.

    Raises:
        ImageError: with ``reason`` one of ``empty``, ``too-many-bytes``, ``not-an-image``, ``format``,
            ``too-many-pixels``, ``too-small``, ``truncated`` (cut off or damaged), ``animated``.
    """
    image = open_header(content, limits)
    with _damage_is_refused():
        image.load()
        upright = _upright(image)
        pixels = np.array(_rgb(upright), dtype=np.uint8)
    return Decoded(pixels, str(image.format), pixels.shape[1], pixels.shape[0])


def open_header(content: bytes, limits: Limits = Limits()) -> ImageFile.ImageFile:
    """Read and check an image's header; no pixel is decoded.

    The reader is picked by the file's signature and called directly, because ``Image.open`` tries
    readers in turn and applies its own size guard, a process-wide setting that warns.

    Raises:
        ImageError: as :func:`decode`.
    """
    if not content:
        raise ImageError("empty", "the file is empty")
    if len(content) > limits.max_bytes:
        raise ImageError("too-many-bytes", f"the file is larger than {limits.max_bytes:,} bytes")
    kind = sniff(content)
    if kind is None:
        raise ImageError("not-an-image", f"the content is no image; give {_either(limits.formats)}")
    if kind not in limits.formats or kind not in READERS:
        raise ImageError("format", f"{kind} is not accepted; give {_either(limits.formats)}")
    with _damage_is_refused():
        image = READERS[kind](BytesIO(content))
    _check_size(image.width, image.height, limits)
    if getattr(image, "is_animated", False):
        raise ImageError("animated", "the image is animated; give a single frame")
    return image


def sniff(content: bytes) -> str | None:
    """The format that a file's first bytes claim, or None if they are no image's."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "WEBP"
    if content[4:8] == b"ftyp" and content[8:11] in (b"avi", b"hei", b"hev", b"mif", b"msf"):
        return "HEIF"
    signatures = {
        b"\xff\xd8\xff": "JPEG",
        b"\x89PNG\r\n\x1a\n": "PNG",
        b"GIF8": "GIF",
        b"II*\0": "TIFF",
        b"MM\0*": "TIFF",
        b"BM": "BMP",
        b"\0\0\1\0": "ICO",
        b"\0\0\0\x0cjP": "JPEG 2000",
        b"8BPS": "PSD",
        b"\xff\x0a": "JPEG XL",
    }
    return next((name for start, name in signatures.items() if content.startswith(start)), None)


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
    side = min(height, width)
    left, top = (width - side) // 2, (height - side) // 2
    box = (left, top, left + side, top + side)
    return np.array(Image.fromarray(pixels).resize((size, size), Image.Resampling.BILINEAR, box=box))


def _check_size(width: int, height: int, limits: Limits) -> None:
    if width * height > limits.max_pixels:
        limit = f"the limit is {limits.max_pixels:,}"
        raise ImageError("too-many-pixels", f"{width} × {height} is {width * height:,} pixels; {limit}")
    if min(width, height) < limits.min_side:
        raise ImageError("too-small", f"{width} × {height} pixels; each side needs {limits.min_side} or more")


@contextmanager
def _damage_is_refused() -> Iterator[None]:
    try:
        yield
    except Image.DecompressionBombError as error:
        raise ImageError("too-many-pixels", f"the image is far too large: {error}") from error
    except DAMAGE as error:
        raise ImageError("truncated", f"the file is cut off or damaged: {error}") from error


def _upright(image: Image.Image) -> Image.Image:
    try:
        orientation = image.getexif().get(ORIENTATION)
    except DAMAGE:  # broken metadata around a sound picture
        return image
    turn = UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    return image if turn is None else image.transpose(turn)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        grey = np.asarray(image).astype(np.int64) >> 8
        image = Image.fromarray(grey.clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        coloured = image.convert("RGBA")
        white = Image.new("RGBA", coloured.size, "white")
        return Image.alpha_composite(white, coloured).convert("RGB")
    return image.convert("RGB")


def _either(formats: tuple[str, ...]) -> str:
    *most, last = formats
    return f"{', '.join(most)} or {last}" if most else last

"""What an untrusted image file says of itself, checked against limits before a pixel is decoded."""

import re
import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO

from PIL import Image, ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from bonafide.errors import ImageError

READERS: dict[str, type[ImageFile.ImageFile]] = {
    "JPEG": JpegImageFile,
    "PNG": PngImageFile,
    "WEBP": WebPImageFile,
}

HEADER_SEGMENT = re.compile(rb"\xff[\xc0-\xc7\xc9-\xcf\xda-\xef\xfe]")
LATER_SEGMENT = re.compile(rb"\xff[\xc0-\xc7\xc9-\xcf\xd9-\xef\xfe]")
END_OF_IMAGE, START_OF_SCAN = b"\xff\xd9", b"\xff\xda"
MAXIMUM_PARTS = {
    "bytes of padding": 2**16,
    "segments": 1_000,
    "scans": 100,
    "chunks": 256,
    "data chunks": 10_000,
}

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
    """What an image file may be.

    ``max_pixels`` (width × height) holds for JPEG in grey or colour, which is scaled while it is decoded;
    ``max_pixels_whole`` for what must be decoded whole: PNG, CMYK and progressive JPEG; ``max_pixels_webp``
    for WebP, whose decoder takes 15 bytes for each. ``min_side`` is in pixels.
    """

    max_bytes: int = 20 * 2**20
    max_pixels: int = 50_000_000
    max_pixels_whole: int = 20_000_000
    max_pixels_webp: int = 12_000_000
    min_side: int = 8
    formats: tuple[str, ...] = ("JPEG", "PNG", "WEBP")


LIMITS = Limits()


def open_header(content: bytes, limits: Limits = LIMITS) -> ImageFile.ImageFile:
    """Read and check an image's header; no pixel is decoded.

    The reader is picked by the file's signature and called directly, because ``Image.open`` tries
    readers in turn and applies its own size guard, a process-wide setting that warns.

    Raises:
        ImageError: as :func:`bonafide.data.decoding.decode`.
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
    _check_structure(kind, content)
    with damage_is_refused():
        image = READERS[kind](BytesIO(content))
    _check_size(image.width, image.height, _most_pixels(kind, image, limits), limits.min_side)
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


@contextmanager
def damage_is_refused() -> Iterator[None]:
    """What a reader raises on damage becomes an ImageError."""
    try:
        yield
    except Image.DecompressionBombError as error:
        raise ImageError("too-many-pixels", f"the image is far too large: {error}") from error
    except DAMAGE as error:
        raise ImageError("truncated", f"the file is cut off or damaged: {error}") from error


def _check_structure(kind: str, content: bytes) -> None:
    """Readers take time for each part of a file, however small, so parts are counted before they are read."""
    if kind == "WEBP":  # libwebp is not slowed down by them
        return
    counts: Counter[str] = Counter()
    for part, count in _jpeg_parts(content) if kind == "JPEG" else _png_parts(content):
        counts[part] += count
        if counts[part] > MAXIMUM_PARTS[part]:
            raise ImageError("too-complex", f"the file has more than {MAXIMUM_PARTS[part]:,} {part}")


def _jpeg_parts(content: bytes) -> Iterator[tuple[str, int]]:
    """As Pillow reads them: step by step up to the first scan, and then in C up to the end of the image."""
    at, segment = 2, HEADER_SEGMENT
    while found := segment.search(content, at):
        if found[0] == END_OF_IMAGE:
            return
        if segment is HEADER_SEGMENT:
            yield "bytes of padding", found.start() - at
        if found[0] == START_OF_SCAN:
            segment = LATER_SEGMENT
        yield "scans" if found[0] == START_OF_SCAN else "segments", 1
        at = found.end() + int.from_bytes(content[found.end() : found.end() + 2])
    if segment is HEADER_SEGMENT:
        yield "bytes of padding", len(content) - at


def _png_parts(content: bytes) -> Iterator[tuple[str, int]]:
    at = 8
    while at < len(content) and (name := content[at + 4 : at + 8]) != b"IEND":
        yield "data chunks" if name == b"IDAT" else "chunks", 1
        at += 12 + int.from_bytes(content[at : at + 4])


def _most_pixels(kind: str, image: ImageFile.ImageFile, limits: Limits) -> int:
    if kind == "WEBP":
        return limits.max_pixels_webp
    whole = kind != "JPEG" or image.mode == "CMYK" or "progressive" in image.info
    return limits.max_pixels_whole if whole else limits.max_pixels


def _check_size(width: int, height: int, most: int, least_side: int) -> None:
    if width * height > most:
        raise ImageError(
            "too-many-pixels", f"{width} × {height} is {width * height:,} pixels; the limit is {most:,}"
        )
    if min(width, height) < least_side:
        raise ImageError("too-small", f"{width} × {height} pixels; each side needs {least_side} or more")


def _either(formats: tuple[str, ...]) -> str:
    *most, last = formats
    return f"{', '.join(most)} or {last}" if most else last

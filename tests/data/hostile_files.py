"""Image files that mean harm, each with the reason for which it is refused, and odd ones that are sound."""

import struct
import zlib

from tests.data.pictures import encode, picture

JPEG = encode(picture(7, 48, 40))
PNG = encode(picture(7, 48, 40), "PNG")
WEBP = encode(picture(7, 48, 40), "WEBP")
MARKUP = b"<html><script>alert(1)</script></html>"
MEBI = 2**20


def chunk(kind: bytes, content: bytes = b"") -> bytes:
    check = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + check


def png_bomb(width: int, height: int, rows: int | None = None, bits: int = 1, colour: int = 0) -> bytes:
    """A PNG of zeros: a few kilobytes that decode to width × height pixels, or claim to."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    packer = zlib.compressobj(9)
    row = bytes(1 + (width * bits * channels + 7) // 8)
    packed = b"".join(packer.compress(row) for _ in range(rows or height)) + packer.flush()
    return PNG[:8] + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND")


def png_claiming(width: int, height: int) -> bytes:
    return PNG[:8] + chunk(b"IHDR", struct.pack(">II", width, height) + PNG[24:29]) + PNG[33:]


def png_with(*chunks: bytes) -> bytes:
    """A sound PNG with chunks put in after its header."""
    return PNG[:33] + b"".join(chunks) + PNG[33:]


def jpeg_with(*parts: bytes) -> bytes:
    """A sound JPEG with parts put in after its first marker."""
    return JPEG[:2] + b"".join(parts) + JPEG[2:]


def segment(marker: int, content: bytes = b"") -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


def jpeg_claiming(width: int, height: int) -> bytes:
    at = JPEG.index(b"\xff\xc0") + 5
    return JPEG[:at] + struct.pack(">HH", height, width) + JPEG[at + 4 :]


def jpeg_of_scans(count: int, size: int = 48) -> bytes:
    """A progressive JPEG whose first scan comes ``count`` times more, empty."""
    content = encode(picture(7, size, size), progressive=True)
    start = content.index(b"\xff\xda")
    scan = content[start : start + 2 + int.from_bytes(content[start + 2 : start + 4])]
    return content[:-2] + scan * count + content[-2:]


def webp_claiming(width: int, height: int) -> bytes:
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + sides + WEBP[12:]
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _animated(kind: str) -> bytes:
    return encode(picture(1), kind, save_all=True, append_images=[picture(2)], duration=100)


def _many_pictures() -> bytes:
    return encode(picture(7), "MPO", save_all=True, append_images=[picture(8)])


def _orientation_of(kind: str, count: int) -> bytes:
    """EXIF that announces ``count`` entries and has none."""
    return encode(picture(7), kind, exif=b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", count))


_ZEROS = zlib.compress(bytes(64 * MEBI), 9)
_HEADER = struct.pack(">IIBBBBB", 16, 16, 8, 2, 0, 0, 0)

REFUSED: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "empty"),
    "one byte": (b"\xff", "not-an-image"),
    "zeros": (bytes(1000), "not-an-image"),
    "text": (b"hello, I am text", "not-an-image"),
    "SVG": (b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>", "not-an-image"),
    "SVG with a declaration": (b"<?xml version='1.0'?><svg/>", "not-an-image"),
    "XML entities": (b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "not-an-image"),
    "HTML": (MARKUP, "not-an-image"),
    "HTML before a JPEG": (MARKUP + JPEG, "not-an-image"),
    "PDF": (b"%PDF-1.7\n1 0 obj", "not-an-image"),
    "PDF around a JPEG": (b"%PDF-1.7\nstream\n" + JPEG + b"\nendstream", "not-an-image"),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0", "not-an-image"),
    "ZIP": (b"PK\x03\x04" + bytes(100), "not-an-image"),
    "gzip": (b"\x1f\x8b\x08" + bytes(100), "not-an-image"),
    "ELF": (b"\x7fELF" + bytes(100), "not-an-image"),
    "pickle": (b"\x80\x04\x95cos\nsystem\n", "not-an-image"),
    "shell": (b"#!/bin/sh\nid\n", "not-an-image"),
    "WAV": (b"RIFF\x24\0\0\0WAVEfmt ", "not-an-image"),
    "MP4": (b"\0\0\0\x18ftypisom" + bytes(40), "not-an-image"),
    "GIF": (encode(picture(1), "GIF"), "format"),
    "GIF that is a ZIP": (encode(picture(1), "GIF") + b"PK\x03\x04", "format"),
    "TIFF": (encode(picture(1), "TIFF"), "format"),
    "BMP": (encode(picture(1), "BMP"), "format"),
    "ICO": (encode(picture(1), "ICO"), "format"),
    "AVIF": (b"\0\0\0\x1cftypavif" + bytes(40), "format"),
    "HEIC": (b"\0\0\0\x1cftypheic" + bytes(40), "format"),
    "JPEG 2000": (b"\0\0\0\x0cjP  \r\n\x87\n", "format"),
    "JPEG XL": (b"\xff\x0a" + bytes(40), "format"),
    "PSD": (b"8BPS\0\x01" + bytes(40), "format"),
    "JPEG too small": (encode(picture(1, 64, 7)), "too-small"),
    "PNG too small": (encode(picture(1, 1, 1), "PNG"), "too-small"),
    "JPEG without height": (jpeg_claiming(48, 0), "truncated"),
    "JPEG claims 65500 × 65500": (jpeg_claiming(65500, 65500), "too-many-pixels"),
    "JPEG claims 7100 × 7100": (jpeg_claiming(7100, 7100), "too-many-pixels"),
    "PNG claims 50000 × 50000": (png_claiming(50_000, 50_000), "too-many-pixels"),
    "PNG claims 2³¹ - 1 × 2³¹ - 1": (png_claiming(2**31 - 1, 2**31 - 1), "too-many-pixels"),
    "PNG of 20 megapixels and a row": (png_bomb(5000, 4001), "too-many-pixels"),
    "WebP claims 2²⁴ × 2⁸": (webp_claiming(2**24, 2**8), "too-many-pixels"),
    "WebP claims another size": (webp_claiming(4000, 4000), "truncated"),
    "PNG animated": (_animated("PNG"), "animated"),
    "WebP animated": (_animated("WEBP"), "animated"),
    "JPEG of 101 scans": (jpeg_of_scans(101), "too-complex"),
    "JPEG of 10,000 scans": (jpeg_of_scans(10_000), "too-complex"),
    "JPEG of comments": (jpeg_with(segment(0xFE) * 100_000), "too-complex"),
    "JPEG of tables after a scan": (JPEG[:-2] + segment(0xC4) * 2_000 + JPEG[-2:], "too-complex"),
    "JPEG of padding": (jpeg_with(b"\xff" * MEBI), "too-complex"),
    "JPEG of junk": (jpeg_with(segment(0xE0), bytes(MEBI)), "too-complex"),
    "JPEG of junk behind an early end": (jpeg_with(b"\xff\xd9", segment(0xFE) * 5_000), "too-complex"),
    "JPEG of unknown segments": (jpeg_with((b"\xff\xf0\xff\xff" + bytes(65533)) * 4), "too-complex"),
    "PNG of profiles": (
        png_with(chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(MEBI - 9))) * 300),
        "too-complex",
    ),
    "PNG of texts": (png_with(chunk(b"tEXt", b"k\0v") * 100_000), "too-complex"),
    "PNG of unknown chunks": (png_with(chunk(b"prVt") * 300), "too-complex"),
    "PNG of empty data": (png_with(chunk(b"IDAT") * 10_001), "too-complex"),
    "PNG with a profile bomb": (png_with(chunk(b"iCCP", b"x\0\0" + _ZEROS)), "truncated"),
    "PNG with a text bomb": (png_with(chunk(b"zTXt", b"x\0\0" + _ZEROS)), "truncated"),
    "PNG with an international text bomb": (png_with(chunk(b"iTXt", b"x\0\1\0\0\0" + _ZEROS)), "truncated"),
    "PNG with a wrong checksum": (PNG[:29] + bytes(4) + PNG[33:], "truncated"),
    "PNG without data": (PNG[:33] + chunk(b"IEND"), "truncated"),
    "PNG of nothing but its header": (PNG[:33], "truncated"),
    "PNG with an unknown colour": (
        PNG[:8] + chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 16, 8, 5, 0, 0, 0)) + PNG[33:],
        "truncated",
    ),
    "PNG whose data is no zlib": (
        PNG[:8] + chunk(b"IHDR", _HEADER) + chunk(b"IDAT", b"no zlib at all") + chunk(b"IEND"),
        "truncated",
    ),
    "JPEG of nothing but its header": (JPEG[:20], "truncated"),
    "JPEG without tables": (JPEG[:20] + JPEG[JPEG.index(b"\xff\xc0") :], "truncated"),
    "JPEG twice begun": (jpeg_with(b"\xff\xd8"), "truncated"),
    "JPEG cut off in its scan": (JPEG[: len(JPEG) * 2 // 3], "truncated"),
    "WebP cut off": (WEBP[: len(WEBP) // 2], "truncated"),
    "WebP of nothing but its header": (WEBP[:16], "truncated"),
}
SOUND: dict[str, bytes] = {
    "JPEG that is a ZIP": JPEG + b"PK\x03\x04" + bytes(100),
    "JPEG followed by HTML": JPEG + MARKUP,
    "JPEG with HTML in a comment": jpeg_with(segment(0xFE, MARKUP)),
    "JPEG followed by what look like scans": JPEG + b"\xff\xda\0\2" * 1_000,
    "JPEG with what look like scans in a comment": jpeg_with(segment(0xFE, b"\xff\xda" * 1_000)),
    "JPEG of many pictures": _many_pictures(),
    "JPEG of 90 scans": jpeg_of_scans(90),
    "JPEG with a broken profile": jpeg_with(segment(0xE2, b"ICC_PROFILE\0\1\1garbage")),
    "JPEG with broken XMP": jpeg_with(segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta")),
    "JPEG with broken EXIF": _orientation_of("JPEG", 65535),
    "JPEG with padding": jpeg_with(b"\xff" * 100),
    "JPEG in CMYK": encode(picture(7).convert("CMYK")),
    "JPEG in grey": encode(picture(7).convert("L")),
    "PNG followed by a ZIP": PNG + b"PK\x03\x04" + bytes(100),
    "PNG with HTML in a text": png_with(chunk(b"tEXt", b"Comment\0" + MARKUP)),
    "PNG with broken EXIF": png_with(chunk(b"eXIf", b"II*\0\xff\xff\xff\xff")),
    "PNG with a broken profile": png_with(chunk(b"iCCP", b"x\0\0" + zlib.compress(b"garbage"))),
    "WebP followed by a ZIP": WEBP + b"PK\x03\x04" + bytes(100),
    "WebP with broken EXIF": _orientation_of("WEBP", 65535),
}

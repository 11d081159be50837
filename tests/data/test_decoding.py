import struct
import tracemalloc
import warnings
import zlib
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bonafide.data.decoding import Limits, decode, fit
from bonafide.errors import ImageError
from tests.data.pictures import encode, picture

LIMITS = Limits()


def chunk(kind: bytes, content: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + check


def png_bomb(width: int, height: int, rows: int | None = None) -> bytes:
    """A one-bit PNG of zeros: a few kilobytes that decode to width × height pixels, or claim to."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    packer = zlib.compressobj(9)
    row = bytes(1 + (width + 7) // 8)
    packed = b"".join(packer.compress(row) for _ in range(rows or height)) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def refusal(content: bytes, limits: Limits = LIMITS) -> str:
    with pytest.raises(ImageError) as caught:
        decode(content, limits)
    return caught.value.reason


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_decodes_each_accepted_format(kind):
    original = picture(1, 40, 24)
    decoded = decode(encode(original, kind))
    assert (decoded.format, decoded.width, decoded.height) == (kind, 40, 24)
    assert decoded.pixels.shape == (24, 40, 3)
    assert decoded.pixels.dtype == np.uint8
    assert np.abs(decoded.pixels.astype(int) - np.asarray(original)).mean() < 16


@pytest.mark.parametrize(("width", "height"), [(10_000, 10_000), (20_000, 10_000), (60_000, 60_000)])
def test_a_bomb_is_refused_by_its_header(width, height):
    content = png_bomb(width, height, rows=200)
    tracemalloc.start()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert refusal(content) == "too-many-pixels"
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * 2**20


def test_a_whole_hundred_megapixel_png_is_refused():
    content = png_bomb(10_000, 10_000)
    assert len(content) < 50_000
    assert refusal(content) == "too-many-pixels"
    assert decode(content, Limits(max_pixels=100_000_000)).width == 10_000


def test_bytes_are_limited():
    content = encode(picture(1))
    assert refusal(content, Limits(max_bytes=len(content) - 1)) == "too-many-bytes"
    assert decode(content, Limits(max_bytes=len(content))).width == 64


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"hello, I am text", "not-an-image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not-an-image"),
        (encode(picture(1), "GIF"), "format"),
        (encode(picture(1), "TIFF"), "format"),
        (encode(picture(1), "BMP"), "format"),
        (encode(picture(1, 64, 7)), "too-small"),
    ],
)
def test_refusals_name_the_reason(content, reason):
    assert refusal(content) == reason


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_cut_off_files_are_truncated(kind, share):
    content = encode(picture(1, 128, 128), kind)
    assert refusal(content[: int(len(content) * share)]) == "truncated"


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_animations_are_refused(kind):
    content = encode(picture(1), kind, save_all=True, append_images=[picture(2)], duration=100)
    assert refusal(content) == "animated"


def test_formats_can_be_narrowed():
    assert refusal(encode(picture(1), "PNG"), Limits(formats=("JPEG",))) == "format"


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "LA", "RGBA"])
def test_modes_become_rgb(mode):
    kind = "JPEG" if mode == "CMYK" else "PNG"
    original = picture(3).convert(mode)
    pixels = decode(encode(original, kind)).pixels
    assert pixels.shape == (64, 64, 3)
    assert np.abs(pixels.astype(int) - np.asarray(original.convert("RGB"))).mean() < 8


def test_sixteen_bits_become_eight():
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    pixels = decode(encode(Image.fromarray(ramp), "PNG")).pixels
    assert np.array_equal(pixels[..., 0], ramp >> 8)


def test_transparency_is_laid_on_white():
    clear = Image.new("RGBA", (16, 16), (200, 0, 0, 0))
    assert (decode(encode(clear, "PNG")).pixels == 255).all()
    assert (decode(encode(clear, "WEBP", lossless=True)).pixels == 255).all()
    palette = Image.new("P", (16, 16), 0)
    palette.putpalette([200, 0, 0] * 256)
    assert (decode(encode(palette, "PNG", transparency=0)).pixels == 255).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_exif_orientation_is_applied(kind, orientation):
    """The reference is Pillow's own ``exif_transpose``."""
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encode(picture(5, 48, 32), kind, exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(BytesIO(content))).convert("RGB"))
    decoded = decode(content)
    assert np.array_equal(decoded.pixels, expected)
    assert (decoded.height, decoded.width) == expected.shape[:2]


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_broken_exif_does_not_spoil_a_sound_picture():
    content = encode(picture(5), exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert decode(content).width == 64


SEEDS = {
    "JPEG": encode(picture(7, 40, 40)),
    "PNG": encode(picture(7, 40, 40), "PNG", pnginfo=None),
    "WEBP": encode(picture(7, 40, 40), "WEBP"),
}


@settings(max_examples=300, deadline=None)
@given(
    kind=st.sampled_from(sorted(SEEDS)),
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=12),
    kept=st.floats(0.01, 1),
)
def test_a_damaged_file_is_decoded_or_refused_never_a_crash(kind, changes, kept):
    content = bytearray(SEEDS[kind])
    for place, value in changes:
        content[int(place * len(content))] = value
    try:
        decoded = decode(bytes(content[: int(kept * len(content))]), Limits(max_pixels=1_000_000))
    except ImageError as error:
        assert error.reason
    else:
        assert decoded.pixels.shape == (decoded.height, decoded.width, 3)


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=200),
    st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP"]),
)
def test_noise_is_refused(noise, start):
    assert refusal(start + noise)


class TestFit:
    def test_same_size_is_returned_as_it_is(self):
        pixels = np.asarray(picture(1))
        assert fit(pixels, 64) is pixels

    def test_pixels_are_not_resampled_where_only_a_crop_is_needed(self):
        pixels = np.asarray(picture(1, 64, 91))
        assert np.array_equal(fit(pixels, 64), pixels[13:77])

    @pytest.mark.parametrize(("width", "height"), [(128, 128), (200, 100), (96, 300), (20, 30), (64, 65)])
    def test_is_shorter_side_then_centre_crop(self, width, height):
        image = picture(2, width, height)
        scale = 64 / min(width, height)
        whole = image.resize((round(width * scale), round(height * scale)), Image.Resampling.BILINEAR)
        left, top = (whole.width - 64) // 2, (whole.height - 64) // 2
        expected = np.asarray(whole.crop((left, top, left + 64, top + 64))).astype(int)
        fitted = fit(np.asarray(image), 64)
        assert fitted.shape == (64, 64, 3)
        assert fitted.dtype == np.uint8
        assert np.abs(fitted - expected).mean() < 2

    def test_antialiases(self):
        board = np.indices((256, 256)).sum(axis=0) % 2 * 255
        fitted = fit(np.repeat(board[..., None], 3, axis=2).astype(np.uint8), 32)
        assert np.abs(fitted.astype(int) - 127).max() <= 2

    @settings(max_examples=30, deadline=None)
    @given(st.integers(8, 300), st.integers(8, 300), st.integers(8, 128))
    def test_shape(self, width, height, size):
        assert fit(np.zeros((height, width, 3), np.uint8), size).shape == (size, size, 3)

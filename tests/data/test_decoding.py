import subprocess
import sys
import tracemalloc
import warnings
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from bonafide.data.decoding import decode, decode_to, fit
from bonafide.data.header import Limits
from bonafide.errors import ImageError
from tests.data.hostile_files import JPEG, PNG, REFUSED, SOUND, WEBP, png_bomb
from tests.data.pictures import encode, picture

LIMITS = Limits()


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
    assert decode(content, Limits(max_pixels_whole=100_000_000)).width == 10_000


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


@pytest.mark.parametrize("name", REFUSED)
def test_harm_is_refused_for_its_reason(name):
    content, reason = REFUSED[name]
    assert refusal(content) == reason
    with pytest.raises(ImageError) as caught:
        decode_to(content, 32)
    assert caught.value.reason == reason


@pytest.mark.parametrize("name", SOUND)
@pytest.mark.filterwarnings("ignore")
def test_what_surrounds_a_sound_picture_does_no_harm(name):
    assert decode_to(SOUND[name], 32).shape == (32, 32, 3)
    assert decode(SOUND[name]).pixels.shape[2] == 3


def test_a_jpeg_cut_anywhere_is_refused():
    content = encode(picture(7, 16, 16))
    assert {refusal(content[:size]) for size in range(3, len(content))} == {"truncated"}


def mutate(content: bytes, changes: list[tuple[str, float, bytes]]) -> bytes:
    for how, share, new in changes:
        at = int(share * len(content))
        if how == "flip":
            content = content[:at] + bytes([content[at] ^ (new[0] or 1)]) + content[at + 1 :]
        elif how == "insert":
            content = content[:at] + new + content[at:]
        elif how == "repeat":
            content = content[:at] + content[at : at + 64] * 2 + content[at + 64 :]
        else:
            content = content[: max(at, 12)]
    return content


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["flip", "insert", "repeat", "cut"]),
        st.floats(0, 1, exclude_max=True),
        st.binary(min_size=1, max_size=8),
    ),
    min_size=1,
    max_size=8,
)
SEEDS = {
    "JPEG": JPEG,
    "progressive": encode(picture(7, 40, 40), progressive=True),
    "turned": encode(
        picture(7, 40, 40), exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0"
    ),
    "CMYK": encode(picture(7, 40, 40).convert("CMYK")),
    "PNG": PNG,
    "palette": encode(picture(7, 40, 40).quantize(16), "PNG", transparency=1),
    "WEBP": WEBP,
    "lossless": encode(picture(7, 40, 40).convert("RGBA"), "WEBP", lossless=True),
}
SMALL = Limits(max_pixels=1_000_000, max_pixels_whole=1_000_000)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(kind=st.sampled_from(sorted(SEEDS)), changes=CHANGES)
@pytest.mark.filterwarnings("ignore")
def test_a_damaged_file_is_decoded_or_refused_never_a_crash(kind, changes):
    content = mutate(SEEDS[kind], changes)
    try:
        decoded = decode(content, SMALL)
    except ImageError as error:
        with pytest.raises(ImageError) as caught:
            decode_to(content, 16, SMALL)
        assert caught.value.reason == error.reason
    else:
        assert decoded.pixels.shape == (decoded.height, decoded.width, 3)
        assert decode_to(content, 16, SMALL).shape == (16, 16, 3)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.binary(max_size=200),
    st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP"]),
)
def test_noise_is_refused(noise, start):
    assert refusal(start + noise)


class TestDecodeTo:
    """The reference is ``fit`` of ``decode``: the same where no JPEG is scaled while it is decoded."""

    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
    @pytest.mark.parametrize(("width", "height"), [(32, 47), (46, 32), (41, 56), (32, 32), (20, 25)])
    def test_is_fit_of_decode_when_nothing_is_scaled(self, kind, orientation, width, height):
        exif = Image.Exif()
        exif[0x0112] = orientation
        content = encode(picture(5, width, height), kind, exif=exif)
        difference = decode_to(content, 32).astype(int) - fit(decode(content).pixels, 32)
        exact = min(width, height) == 32 or orientation == 1
        assert np.abs(difference).max() <= (0 if exact else 1)

    @pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "LA", "RGBA"])
    @pytest.mark.parametrize("size", [32, 48, 64])
    def test_modes(self, mode, size):
        content = encode(picture(3).convert(mode), "JPEG" if mode == "CMYK" else "PNG")
        difference = decode_to(content, size).astype(int) - fit(decode(content).pixels, size)
        assert np.abs(difference).max() <= (0 if mode != "CMYK" or size > 32 else 24)

    @pytest.mark.parametrize("size", [16, 64])
    def test_transparency_is_laid_on_white_after_resizing(self, size):
        coloured = picture(3).convert("RGBA")
        coloured.putalpha(picture(4).convert("L"))
        for content in (encode(coloured, "PNG"), encode(coloured, "WEBP", lossless=True)):
            difference = decode_to(content, size).astype(int) - fit(decode(content).pixels, size)
            assert np.abs(difference).max() <= (0 if size == 64 else 2)

    def test_sixteen_bits(self):
        ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
        content = encode(Image.fromarray(ramp), "PNG")
        assert np.array_equal(decode_to(content, 32), fit(decode(content).pixels, 32))

    @pytest.mark.parametrize("side", [447, 448, 449, 895, 896, 1791, 1792])
    def test_a_jpeg_is_never_made_smaller_than_the_size(self, side, monkeypatch):
        loaded = []
        load = JpegImageFile.load
        monkeypatch.setattr(JpegImageFile, "load", lambda image: loaded.append(image.size) or load(image))
        assert decode_to(encode(picture(2, side, side + 10)), 224).shape == (224, 224, 3)
        scale = next(scale for scale in (8, 4, 2, 1) if side // scale >= 224)
        assert set(loaded) == {(-(-side // scale), -(-(side + 10) // scale))}

    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize(("width", "height"), [(512, 512), (1001, 667), (750, 500), (673, 1530)])
    def test_a_scaled_jpeg_is_close_and_in_its_place(self, width, height, orientation):
        """A wave that a shift by half a pixel of the scaled image would move by more than is allowed."""
        x, y = np.meshgrid(np.arange(width), np.arange(height))
        wave = 128 + 60 * np.sin(x / 7) + 60 * np.sin(y / 7)
        exif = Image.Exif()
        exif[0x0112] = orientation
        content = encode(Image.fromarray(wave.astype(np.uint8)), quality=95, exif=exif)
        difference = decode_to(content, 112).astype(int) - fit(decode(content).pixels, 112)
        assert np.abs(difference).mean() < 3

    @pytest.mark.parametrize("settings", [{"progressive": True}, {"subsampling": 0}, {"subsampling": 1}])
    def test_kinds_of_jpeg(self, settings):
        content = encode(picture(6, 300, 200), **settings)
        difference = decode_to(content, 64).astype(int) - fit(decode(content).pixels, 64)
        assert np.abs(difference).mean() < 2

    @pytest.mark.parametrize(
        ("content", "mebibytes"),
        [
            (png_bomb(4472, 4472, bits=8, colour=6), 200),
            (png_bomb(4472, 4472, bits=16, colour=0), 160),
            (encode(Image.new("RGB", (7070, 7070))), 40),
            (encode(Image.new("RGB", (4472, 4472)), progressive=True, subsampling=0), 160),
            (encode(Image.new("RGB", (3464, 3464)), "WEBP", lossless=True, method=0), 220),
        ],
        ids=["PNG RGBA", "PNG 16 bit", "JPEG", "JPEG progressive", "WebP"],
    )
    def test_the_largest_files_fit_a_small_container(self, content, mebibytes, tmp_path):
        file = tmp_path / "file"
        file.write_bytes(content)
        script = (
            "import resource, sys; from pathlib import Path; from bonafide.data.decoding import decode_to\n"
            "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
            "content = Path(sys.argv[1]).read_bytes(); before = peak()\n"
            "decode_to(content, 224); print(peak() - before)"
        )
        run = subprocess.run([sys.executable, "-c", script, file], capture_output=True, check=True)
        assert int(run.stdout) / 1024 < mebibytes


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

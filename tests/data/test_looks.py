import numpy as np
import pytest
from PIL import Image

from bonafide.data.looks import looks
from bonafide.errors import ImageError
from tests.data.pictures import encode, picture


@pytest.mark.parametrize("quality", [1, 10, 30, 49, 50, 75, 90, 95, 100])
def test_the_quality_of_a_jpeg_is_found(quality):
    content = encode(picture(1, 80, 64), quality=quality)
    assert looks(content)["jpeg_quality"] == quality


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_other_kinds_have_none(kind):
    found = looks(encode(picture(1, 80, 64), kind))
    assert set(found) == {"width", "height", "brightness"}
    assert (found["width"], found["height"]) == (80, 64)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("grey", [0, 51, 255])
def test_brightness_is_from_black_to_white(kind, grey):
    content = encode(Image.new("RGB", (300, 200), (grey,) * 3), kind)
    assert looks(content)["brightness"] == pytest.approx(grey / 255, abs=0.01)


def test_brightness_of_a_large_jpeg_is_that_of_all_its_pixels():
    made = picture(3, 640, 480)
    mean = np.asarray(made.convert("L"), dtype=float).mean() / 255
    assert looks(encode(made, quality=95))["brightness"] == pytest.approx(mean, abs=0.01)


def test_without_brightness_no_pixel_is_decoded():
    content = encode(picture(1, 80, 64), quality=75)
    cut = content[: content.index(b"\xff\xda") + 40]
    assert looks(cut, brightness=False) == {"width": 80, "height": 64, "jpeg_quality": 75}
    with pytest.raises(ImageError):
        looks(cut)

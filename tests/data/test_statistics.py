from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from bonafide.data.statistics import STATISTICS, statistics
from bonafide.errors import ImageError


def encoded(pixels: np.ndarray, kind: str = "JPEG", **options) -> bytes:
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize("quality", [10, 35, 50, 75, 92, 100])
def test_the_quality_is_the_encoders(quality):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    found = statistics(encoded(pixels, quality=quality))
    assert tuple(found) == STATISTICS
    assert found["jpeg_quality"] == quality
    assert (found["width"], found["height"]) == (60, 40)


@pytest.mark.parametrize(("grey", "brightness"), [(0, 0), (51, 0.2), (255, 1)])
def test_brightness_is_from_black_to_white(grey, brightness):
    found = statistics(encoded(np.full((50, 50, 3), grey, np.uint8), "PNG"))
    assert found["brightness"] == pytest.approx(brightness)
    assert np.isnan(found["jpeg_quality"])


def test_what_is_no_picture_is_refused():
    with pytest.raises(ImageError):
        statistics(b"text")

import base64
import io

import numpy as np
import pytest
from PIL import Image

from bonafide.evaluation.gallery import SIDE, Tile, gallery, legend, overlay


def test_evidence_is_shown_where_it_lies():
    pixels = np.full((32, 64, 3), 100, np.uint8)
    heatmap = np.zeros((2, 4), np.float32)
    heatmap[1, 3] = 5
    changed = np.abs(overlay(pixels, heatmap).astype(int) - 100).sum(2)
    assert changed[-4:, -4:].min() > 50
    assert changed[:8, :32].max() == 0


@pytest.mark.parametrize("value", [0.0, -3.0, np.nan])
def test_no_evidence_leaves_the_grey_image(value):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    grey = pixels.mean(2, keepdims=True).astype(np.uint8)
    assert (overlay(pixels, np.full((2, 2), value, np.float32)) == grey).all()


def read(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/png;base64,")))))


@pytest.mark.parametrize(("shape", "factor"), [((64, 64), 6), ((10, 20), 19), ((300, 400), 1)])
def test_small_images_are_enlarged_to_squares_without_a_new_colour(shape, factor):
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8)
    [shown] = gallery([Tile(pixels, np.ones((2, 2), np.float32), "real", "fake", 0.9)])
    image, evidence = read(shown.image), read(shown.evidence)
    assert image.shape == evidence.shape
    assert max(image.shape) <= SIDE
    if max(shape) <= SIDE:
        assert (image[::factor, ::factor] == pixels).all()
        assert (image == pixels.repeat(factor, 0).repeat(factor, 1)).all()


def test_the_legend_has_the_colours_of_the_maps():
    grey = np.full((1, 2, 3), 128, np.uint8)
    ends = overlay(grey, np.array([[0, 1]], np.float32))[0]
    assert (read(legend())[0, [0, -1]] == ends).all()

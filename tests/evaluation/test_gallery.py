import base64
import io

import numpy as np
import pytest
from PIL import Image

from bonafide.evaluation.gallery import SIDE, Tile, overlay, tile_image


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


@pytest.mark.parametrize("shape", [(16, 16), (10, 20), (400, 300)])
def test_the_original_stands_beside_its_overlay(shape):
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8)
    uri = tile_image(Tile(pixels, np.ones((2, 2), np.float32), "real", "fake", 0.9))
    image = Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/png;base64,"))))
    scale = SIDE / max(shape)
    assert image.size == (2 * round(shape[1] * scale), round(shape[0] * scale))
    if scale > 1:
        assert np.asarray(image)[0, 0].tolist() == pixels[0, 0].tolist()

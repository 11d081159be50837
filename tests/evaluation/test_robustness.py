import io

import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut

from bonafide.evaluation.robustness import Degradation, Degraded, degradations, degrade, robustness


@pytest.fixture(scope="module")
def photo():
    return astronaut()[100:164, 180:228]


def test_the_grid():
    grid = [(each.name, each.level) for each in degradations()]
    assert grid == [
        *(("jpeg", quality) for quality in (75, 50, 30)),
        *(("blur", sigma) for sigma in (1, 2)),
        *(("resize", scale) for scale in (0.75, 0.5)),
    ]


@pytest.mark.parametrize("degradation", degradations(), ids=lambda each: each.title)
def test_shape_and_type_are_kept_and_the_image_changes(photo, degradation):
    degraded = degrade(photo, degradation)
    assert (degraded.shape, degraded.dtype) == (photo.shape, np.uint8)
    assert 0 < np.abs(degraded.astype(int) - photo).mean() < 40


@pytest.mark.parametrize("name", ["jpeg", "blur", "resize"])
def test_each_kind_runs_from_mild_to_strong(photo, name):
    errors = [
        np.square(degrade(photo, each).astype(float) - photo).mean()
        for each in degradations()
        if each.name == name
    ]
    assert errors == sorted(errors)


def test_jpeg_is_one_round_through_the_encoder(photo):
    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, "JPEG", quality=50)
    assert (degrade(photo, Degradation(name="jpeg", level=50)) == np.asarray(Image.open(buffer))).all()


def test_a_one_pixel_image_survives():
    pixel = np.full((1, 1, 3), 7, np.uint8)
    assert [degrade(pixel, each).shape for each in degradations()] == [(1, 1, 3)] * 7


def test_accuracy_is_asked_anew_under_every_degradation(photo):
    """A detector of grain: it is right on the grainy half until the grain is smoothed away."""
    rng = np.random.default_rng(0)
    grain = rng.integers(0, 256, (4, 32, 32, 3)).astype(np.uint8)
    pixels = np.concatenate([np.full_like(grain, 128), grain])
    truth = np.repeat([0, 1], 4)

    def predict(images):
        grainy = images.astype(float).std((1, 2, 3)) > 30
        return np.eye(2, dtype=np.float32)[grainy.astype(int)]

    found = robustness(predict, pixels, truth)
    assert [each.n for each in found] == [8] * 7
    by_title = {each.title: each.accuracy for each in found}
    assert by_title["JPEG quality 75"] == 1
    assert by_title["blur σ 2"] == 0.5
    assert [Degraded(**each.model_dump()) for each in found] == found

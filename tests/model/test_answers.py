import numpy as np
import pytest
import torch

from bonafide.data.dataset import images
from bonafide.data.decoding import decode_to
from bonafide.errors import DataError
from bonafide.model.answers import CHUNK, answer, classify, pixels_of
from bonafide.model.checkpoint import load, read_info
from bonafide.model.runtime import OnnxModel
from tests.conftest import SIZE


@pytest.fixture(scope="module")
def model(checkpoint):
    return OnnxModel(checkpoint, read_info(checkpoint), threads=1)


def test_answers_come_in_the_order_of_the_images_and_are_the_detectors(dataset, checkpoint, model):
    contents = [content for _, content in images(dataset, "train")]
    assert len(contents) > CHUNK
    found = answer(model, dataset, "train", model.info.outputs)
    pixels = np.stack([decode_to(content, SIZE) for content in contents])
    with torch.inference_mode():
        expected = load(checkpoint)(torch.from_numpy(pixels))
    for values, wanted in zip(found.values(), expected, strict=True):
        assert values.dtype == np.float32
        np.testing.assert_allclose(values, wanted.numpy(), atol=1e-3, rtol=1e-3)
    np.testing.assert_array_equal(classify(model, pixels), found["probabilities"])


def test_some_images_by_row(dataset):
    contents = [content for _, content in images(dataset, "test")]
    found = pixels_of(dataset, "test", [5, 0], SIZE)
    assert sorted(found) == [0, 5]
    for row, pixels in found.items():
        np.testing.assert_array_equal(pixels, decode_to(contents[row], SIZE))


def test_a_split_that_is_not_there_is_said(dataset, model):
    with pytest.raises(DataError, match="no split 'holdout'"):
        answer(model, dataset, "holdout", ("probabilities",))

import time

import numpy as np
import torch

from bonafide.model.checkpoint import load
from bonafide.model.images import Images, in_order
from bonafide.model.inference import LATENCY_RUNS, answer, classify, latency


def test_answers_come_in_the_order_of_the_images(dataset, checkpoint):
    detector, images = load(checkpoint), Images(dataset, "test", 32)
    answers = answer(detector, images)
    with torch.inference_mode():
        probabilities, embedding, heatmap = detector(images[5][0][None])
    for found, expected in (
        (answers.probabilities, probabilities),
        (answers.embedding, embedding),
        (answers.heatmap, heatmap),
    ):
        assert len(found) == len(images)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found[5], expected[0].numpy(), atol=1e-4, rtol=1e-4)


def test_classify_goes_through_many_images_in_parts(dataset, checkpoint):
    detector = load(checkpoint)
    pixels = next(iter(in_order(Images(dataset, "test", 32))))[0].numpy()
    many = np.concatenate([pixels] * 6)
    assert len(many) > 256
    sizes = []
    detector.register_forward_hook(lambda _, given, __: sizes.append(len(given[0])))
    found = classify(detector, many)
    assert max(sizes) == 256
    assert sum(sizes) == len(many)
    np.testing.assert_allclose(found[-len(pixels) :], classify(detector, pixels), atol=1e-5)


def test_latency_is_the_median_of_one_image_in_milliseconds():
    calls = []

    def slow(pixels: torch.Tensor) -> list[torch.Tensor]:
        calls.append(pixels.shape)
        time.sleep(0.1 if len(calls) in (1, 5) else 0.002)
        return [torch.zeros(1, 2)]

    slow.input_size = 24
    assert 2 <= latency(slow) < 50
    assert calls == [(1, 24, 24, 3)] * (LATENCY_RUNS + 1)

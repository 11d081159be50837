"""Running a trained detector over a split."""

import time
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from bonafide.model.architectures import Detector
from bonafide.model.images import Images, in_order

LATENCY_RUNS = 30


@dataclass(frozen=True)
class Answers:
    """For N images: probabilities [N, K], embedding [N, E] and heatmap [N, h, w], all FP32."""

    probabilities: NDArray[np.float32]
    embedding: NDArray[np.float32]
    heatmap: NDArray[np.float32]


@torch.inference_mode()
def answer(detector: Detector, images: Images) -> Answers:
    """Answers for all ``images``, in their order."""
    batches = [detector(pixels) for pixels, _ in in_order(images)]
    return Answers(*(torch.cat(parts).numpy() for parts in zip(*batches, strict=True)))


@torch.inference_mode()
def classify(detector: Detector, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Probabilities FP32 [N, K] of ``pixels`` uint8 [N, S, S, 3]."""
    parts = torch.from_numpy(pixels).split(256)
    return torch.cat([detector(part)[0] for part in parts]).numpy()


def latency(detector: Detector) -> float:
    """Median milliseconds for one image on this machine, after a warm-up."""
    size, seconds = detector.input_size, []
    pixels = np.zeros((1, size, size, 3), np.uint8)
    classify(detector, pixels)
    for _ in range(LATENCY_RUNS):
        started = time.perf_counter()
        classify(detector, pixels)
        seconds.append(time.perf_counter() - started)
    return 1000 * float(np.median(seconds))

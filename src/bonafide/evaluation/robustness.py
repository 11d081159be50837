"""Accuracy after the image was recompressed, blurred or resized, as happens to pictures on their way."""

import io
from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from bonafide.config import Config
from bonafide.evaluation.intervals import Number
from bonafide.model.decision import label_of

Pixels = NDArray[np.uint8]


class Degradation(Config):
    """``level`` is the JPEG quality, the Gaussian's sigma in pixels, or the scale of the smaller copy."""

    name: Literal["jpeg", "blur", "resize"]
    level: float

    @property
    def title(self) -> str:
        """For people, e.g. ``JPEG quality 50``."""
        return {
            "jpeg": f"JPEG quality {self.level:g}",
            "blur": f"blur σ {self.level:g}",
            "resize": f"resize to {100 * self.level:g} % and back",
        }[self.name]


class Degraded(Degradation):
    """The accuracy on ``n`` images under one degradation."""

    accuracy: Number
    n: int


def degradations() -> tuple[Degradation, ...]:
    """The grid, each kind from mild to strong."""
    return (
        *(Degradation(name="jpeg", level=quality) for quality in (75, 50, 30)),
        *(Degradation(name="blur", level=sigma) for sigma in (1, 2)),
        *(Degradation(name="resize", level=scale) for scale in (0.75, 0.5)),
    )


def degrade(pixels: Pixels, degradation: Degradation) -> Pixels:
    """One degraded copy of an image, uint8 [H, W, 3] to uint8 [H, W, 3]."""
    image = Image.fromarray(pixels)
    match degradation.name:
        case "jpeg":
            buffer = io.BytesIO()
            image.save(buffer, "JPEG", quality=int(degradation.level))
            image = Image.open(buffer)
        case "blur":
            image = image.filter(ImageFilter.GaussianBlur(degradation.level))
        case "resize":
            width, height = (max(1, round(side * degradation.level)) for side in image.size)
            smaller = image.resize((width, height), Image.Resampling.BICUBIC)
            image = smaller.resize(image.size, Image.Resampling.BICUBIC)
    return np.asarray(image)


def robustness(
    predict: Callable[[Pixels], NDArray[np.float32]], pixels: Pixels, truth: NDArray[np.int64]
) -> list[Degraded]:
    """Ask ``predict`` again about every image under every degradation of :func:`degradations`.

    Args:
        predict: uint8 [N, H, W, 3] to probabilities float32 [N, K].
        pixels: uint8 [N, H, W, 3].
        truth: int64 [N].
    """
    results = []
    for degradation in degradations():
        degraded = np.stack([degrade(image, degradation) for image in pixels])
        accuracy = float(np.mean(label_of(predict(degraded)) == truth))
        results.append(Degraded(**degradation.model_dump(), accuracy=accuracy, n=len(truth)))
    return results

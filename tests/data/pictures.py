"""Image files made on the spot."""

from io import BytesIO

import numpy as np
from PIL import Image

from bonafide.data.build import RawImage

LABELS = ("real", "ai-generated", "deepfake")


def picture(seed: int, width: int = 64, height: int = 64) -> Image.Image:
    """Smooth random colours: each seed another picture, far from the others for a perceptual hash."""
    small = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def encode(image: Image.Image, kind: str = "JPEG", **settings) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **settings)
    return buffer.getvalue()


def raw_images(count: int, labels=LABELS, groups: int = 12, **settings) -> list[RawImage]:
    """``count`` distinct images; labels take turns, and every group holds every label."""
    return [
        RawImage(
            path=f"{labels[number % len(labels)]}/{number:05d}.jpg",
            content=encode(picture(number), **{"quality": 90, **settings}),
            label_name=labels[number % len(labels)],
            source="test",
            generator=None if number % len(labels) == 0 else "decoder",
            group=f"photo-{number // len(labels) % groups:02d}",
        )
        for number in range(count)
    ]

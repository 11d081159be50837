"""From an image file or pixels to the model's arrays; the same path offline and behind the server."""

from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bonafide.data.decoding import decode_to, fit
from bonafide.data.header import LIMITS
from bonafide.model.package import verify
from bonafide.model.runtime import OnnxModel, return_freed_memory

Pixels = npt.NDArray[np.uint8]
Image = bytes | memoryview | Pixels
"""A JPEG, PNG or WebP file, or uint8 [H, W, 3], RGB."""
Images = Sequence[Image] | Pixels
Scores = dict[str, npt.NDArray[np.float32]]


class Scored(NamedTuple):
    """One image's arrays, each with a first axis of 1, and the seconds that decoding and the model took."""

    scores: Scores
    decode: float
    infer: float


class Engine:
    """A verified package, ready to score; safe to call from several threads.

    Args:
        package: folder of the package.
        public_key: the key that its signature must hold for.
        threads: of one run; all cores if None.

    ``info`` says what the package is; ``model`` runs uint8 [N, S, S, 3].

    Raises:
        PackageError: the package does not verify or cannot be loaded.
    """

    def __init__(self, package: Path, public_key: Path, threads: int | None = None) -> None:
        self.info = verify(package, public_key)
        self.model = OnnxModel(package, self.info, threads)
        return_freed_memory()

    def score(self, image: Image, outputs: Sequence[str]) -> Scored:
        """Decode one image and run the model on it; outputs as of :meth:`OnnxModel.run`.

        Raises:
            ImageError: the file is refused.
        """
        begun = perf_counter()
        pixels = self._fitted(image)
        decoded = perf_counter()
        scores = self.model.run(pixels[None], outputs)
        return Scored(scores, decoded - begun, perf_counter() - decoded)

    def warm(self) -> None:
        """Run once, so that the first request does not pay for ONNX Runtime's set-up."""
        size = self.info.image.size
        self.model.run(np.zeros((1, size, size, 3), dtype=np.uint8), self.info.outputs)

    def _fitted(self, image: Image) -> Pixels:
        size = self.info.image.size
        if isinstance(image, np.ndarray):
            return fit(image, size)
        if isinstance(image, memoryview):  # of a request's body, so that only what is worked on is copied
            image = bytes(image[: LIMITS.max_bytes + 1])
        return decode_to(image, size)

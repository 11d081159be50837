"""From image files or pixels to the model's arrays; the same path offline and behind the server."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bonafide.data.decoding import decode_to, fit
from bonafide.errors import ImageError
from bonafide.model.package import verify
from bonafide.model.runtime import OnnxModel, return_freed_memory

Pixels = npt.NDArray[np.uint8]
Scores = dict[str, npt.NDArray[np.float32]]


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

    def decode(self, images: Sequence[bytes]) -> Pixels:
        """JPEG, PNG or WebP files to uint8 [N, S, S, 3].

        Raises:
            ImageError: a file is refused; the message names its index.
        """
        return np.stack([self._decode(index, content) for index, content in enumerate(images)])

    def decode_one(self, content: bytes) -> Pixels:
        """A JPEG, PNG or WebP file to uint8 [S, S, 3].

        Raises:
            ImageError: the file is refused.
        """
        return decode_to(content, self.info.image.size)

    def score(self, pixels: Pixels, outputs: Sequence[str]) -> Scores:
        """Fit uint8 [N, H, W, 3] to the model's input and run it; outputs as of :meth:`OnnxModel.run`."""
        fitted = np.stack([fit(image, self.info.image.size) for image in pixels])
        return self.model.run(fitted, outputs)

    def warm(self) -> None:
        """Run once, so that the first request does not pay for ONNX Runtime's set-up."""
        size = self.info.image.size
        self.model.run(np.zeros((1, size, size, 3), dtype=np.uint8), self.info.outputs)

    def _decode(self, index: int, content: bytes) -> Pixels:
        try:
            return self.decode_one(content)
        except ImageError as error:
            raise ImageError(error.reason, f"image[{index}]: {error.reason}: {error}") from error

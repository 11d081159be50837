"""From an image file, pixels or rows to the model's arrays; the same path offline and behind the server."""

from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from bonafide.model.package import verify
from bonafide.model.runtime import OnnxModel, return_freed_memory

Pixels = npt.NDArray[np.uint8]
Rows = npt.NDArray[np.float32]
Item = bytes | memoryview | Pixels | Rows
"""A JPEG, PNG or WebP file, or uint8 [H, W, 3], RGB; or float32 [N, C], N rows of a table."""
Items = Sequence[Item] | Pixels
Scores = dict[str, npt.NDArray[np.float32]]

FEW = 16
QUICK_SECONDS = 0.0002
WARM_RUNS = 3


class Scored(NamedTuple):
    """One item's arrays, each with its first axis, and the seconds that decoding and the model took."""

    scores: Scores
    decode: float
    infer: float


class Engine:
    """A verified package, ready to score; safe to call from several threads.

    Args:
        package: folder of the package.
        public_key: the key that its signature must hold for.
        threads: of one run; all cores if None.

    ``info`` says what the package is; ``model`` runs what ``info.input`` fits.

    Raises:
        PackageError: the package does not verify or cannot be loaded.
    """

    def __init__(self, package: Path, public_key: Path, threads: int | None = None) -> None:
        self.info = verify(package, public_key)
        self.model = OnnxModel(package, self.info, threads)
        self._is_quick = False
        return_freed_memory()

    def score(self, item: Item, outputs: Sequence[str]) -> Scored:
        """Fit one item to the model and run it; outputs as of :meth:`OnnxModel.run`.

        Raises:
            ImageError: the file is refused.
        """
        begun = perf_counter()
        values = self.info.input.fitted(item)  # type: ignore[arg-type]
        decoded = perf_counter()
        scores = self.model.run(values, outputs)
        return Scored(scores, decoded - begun, perf_counter() - decoded)

    def is_brief(self, item: Item) -> bool:
        """Whether to hand an item to another thread takes longer than to score it: so of a few rows."""
        taken = self.info.input
        fits = isinstance(item, np.ndarray) and item.dtype == taken.dtype and item.shape[1:] == taken.shape
        return self._is_quick and fits and len(item) <= FEW

    def warm(self) -> None:
        """Run, so that no request pays for ONNX Runtime's set-up, and see how long it takes."""
        one = self.info.input.drawn(np.random.default_rng(0))
        self._is_quick = self._takes(one) < QUICK_SECONDS and self._takes(one.repeat(FEW, 0)) < QUICK_SECONDS

    def _takes(self, values: npt.NDArray[Any]) -> float:
        """Seconds, of the quickest of some runs: what else a machine does can only add time."""
        seconds = []
        for _ in range(WARM_RUNS):
            begun = perf_counter()
            self.model.run(values, self.info.outputs)
            seconds.append(perf_counter() - begun)
        return min(seconds)

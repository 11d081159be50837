"""A split of a dataset as torch reads it: files stay encoded, and on the disk, until they are asked for."""

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, RandomSampler, SequentialSampler

from bonafide.data import dataset
from bonafide.data.decoding import decode_to
from bonafide.errors import BonafideError
from bonafide.model.augmentation import Augmentation

_COLUMNS = pa.schema([("content", pa.binary()), ("label", pa.int64())])


class Images(Dataset[tuple[Tensor, int]]):
    """Items are ``(pixels uint8 [S, S, 3], label)``.

    Augmentation is a function of ``seed``, ``epoch`` and the index alone, so that a resumed training sees
    what an uninterrupted one would have seen. The split is copied once to a file in the folder for temporary
    files (``TMPDIR``), because Parquet's pages have to be decoded and cannot be mapped; the system removes
    the file when the object or the process ends.

    Raises:
        DataError: the split is not there.
        BonafideError: that folder has no room for a copy.
    """

    def __init__(
        self, folder: Path, split: str, size: int, augmentation: Augmentation | None = None, seed: int = 0
    ) -> None:
        table = _mapped(folder, split)
        self._contents = table["content"]
        self.labels: NDArray[np.int64] = table["label"].to_numpy()
        self._size, self._augmentation, self._seed, self.epoch = size, augmentation, seed, 0

    def __len__(self) -> int:
        return len(self.labels)

    def content(self, index: int) -> bytes:
        """One image's file."""
        content: bytes = self._contents[index].as_py()
        return content

    def pixels(self, index: int) -> NDArray[np.uint8]:
        """One image as the model sees it: uint8 [S, S, 3]."""
        return decode_to(self.content(index), self._size)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        pixels = self.pixels(index)
        if self._augmentation is not None:
            pixels = self._augmentation(pixels, np.random.default_rng([self._seed, self.epoch, index]))
        return torch.from_numpy(np.array(pixels)), int(self.labels[index])


def _mapped(folder: Path, split: str) -> pa.Table:
    """Files and labels of a split, memory-mapped from an Arrow file that has no name any more."""
    batches = dataset.batches(folder, split, ["image.bytes", "label"])
    try:
        with tempfile.NamedTemporaryFile(prefix="bonafide-", suffix=".arrow") as file:
            with pa.OSFile(file.name, "wb") as sink, pa.ipc.new_file(sink, _COLUMNS) as writer:
                for batch in batches:
                    contents = batch["image"].field("bytes")
                    writer.write(pa.record_batch([contents, batch["label"]], _COLUMNS))
            return pa.ipc.open_file(pa.memory_map(file.name)).read_all()
    except OSError as error:
        raise BonafideError(
            f"cannot copy the split {split!r} to {tempfile.gettempdir()}: {error}; make room there, or name "
            "another folder in TMPDIR"
        ) from error


def shuffled(images: Images, batch_size: int, seed: int) -> DataLoader[tuple[Tensor, int]]:
    """Batches in an order that depends on ``seed`` and ``images.epoch``; the last, short one is dropped."""
    order = RandomSampler(images, generator=torch.Generator().manual_seed(seed + 1_000_003 * images.epoch))
    return DataLoader(images, batch_size, sampler=order, drop_last=len(images) > batch_size)


def in_order(images: Images, batch_size: int = 256) -> DataLoader[tuple[Tensor, int]]:
    """All batches, in the dataset's order."""
    return DataLoader(images, batch_size, sampler=SequentialSampler(images))

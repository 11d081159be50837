"""A split of a dataset as torch reads it: files stay encoded and memory-mapped until they are asked for."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, RandomSampler, SequentialSampler

from bonafide.data import dataset
from bonafide.data.decoding import decode_to
from bonafide.model.augmentation import augment


class Images(Dataset[tuple[Tensor, int]]):
    """Items are ``(pixels uint8 [S, S, 3], label)``.

    Augmentation is a function of ``seed``, ``epoch`` and the index alone, so that a resumed training sees
    what an uninterrupted one would have seen.
    """

    def __init__(self, folder: Path, split: str, size: int, augmentation_seed: int | None = None) -> None:
        table = dataset.read(folder, split, ["image.bytes", "label"])
        self._images = table["bytes"]
        self.labels: NDArray[np.int64] = table["label"].to_numpy()
        self._size, self._seed, self.epoch = size, augmentation_seed, 0

    def __len__(self) -> int:
        return len(self.labels)

    def pixels(self, index: int) -> NDArray[np.uint8]:
        """One image as the model sees it: uint8 [S, S, 3]."""
        return decode_to(self._images[index].as_py(), self._size)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        pixels = self.pixels(index)
        if self._seed is not None:
            pixels = augment(pixels, np.random.default_rng([self._seed, self.epoch, index]))
        return torch.from_numpy(np.array(pixels)), int(self.labels[index])


def shuffled(images: Images, batch_size: int, seed: int) -> DataLoader[tuple[Tensor, int]]:
    """Batches in an order that depends on ``seed`` and ``images.epoch``; the last, short one is dropped."""
    order = RandomSampler(images, generator=torch.Generator().manual_seed(seed + 1_000_003 * images.epoch))
    return DataLoader(images, batch_size, sampler=order, drop_last=len(images) > batch_size)


def in_order(images: Images, batch_size: int = 256) -> DataLoader[tuple[Tensor, int]]:
    """All batches, in the dataset's order."""
    return DataLoader(images, batch_size, sampler=SequentialSampler(images))

"""Small generative decoders that re-synthesise photographs, one family a way of upsampling.

An image is encoded without training (a whitened PCA of its 4×4 blocks, 20 of 48 numbers kept) and decoded
by a small network trained for a few seconds. Real and fake then show the same content, and only what the
decoder leaves behind tells them apart: aligned reconstruction, arXiv 2410.11835.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

BLOCK = 4
CHANNELS = 3 * BLOCK * BLOCK
LATENT = 20
HIDDEN, NARROW = 48, 32
STEPS, BATCH, LEARNING_RATE = 250, 32, 3e-3


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode="reflect")


def _transposed() -> nn.Sequential:
    return nn.Sequential(
        nn.ConvTranspose2d(HIDDEN, NARROW, 4, 2, 1), nn.GELU(), nn.ConvTranspose2d(NARROW, 3, 4, 2, 1)
    )


def _nearest() -> nn.Sequential:
    return nn.Sequential(
        nn.Upsample(scale_factor=2),
        _conv(HIDDEN, NARROW),
        nn.GELU(),
        nn.Upsample(scale_factor=2),
        _conv(NARROW, 3),
    )


def _patch() -> nn.Sequential:
    return nn.Sequential(
        _conv(HIDDEN, 2 * NARROW), nn.GELU(), _conv(2 * NARROW, CHANNELS), nn.PixelShuffle(BLOCK)
    )


def _pixel_shuffle() -> nn.Sequential:
    return nn.Sequential(
        _conv(HIDDEN, 4 * NARROW),
        nn.PixelShuffle(2),
        nn.GELU(),
        _conv(NARROW, 12),
        nn.PixelShuffle(2),
    )


FAMILIES = {
    "transposed": _transposed,
    "nearest": _nearest,
    "patch": _patch,
    "pixel-shuffle": _pixel_shuffle,
}


@dataclass(frozen=True)
class BlockPca:
    """Whitened principal components of 4×4 RGB blocks: ``basis`` FP32 [48, 20], ``mean`` FP32 [48]."""

    mean: Tensor
    basis: Tensor

    @classmethod
    def fit(cls, images: Tensor) -> "BlockPca":
        """Fit to ``images`` FP32 [N, 3, S, S] in 0..1."""
        blocks = functional.pixel_unshuffle(images, BLOCK).permute(0, 2, 3, 1).reshape(-1, CHANNELS)
        mean = blocks.mean(0)
        centred = blocks - mean
        variances, components = torch.linalg.eigh(centred.T @ centred / len(centred))
        # An eigenvector's sign is arbitrary and may differ between libraries: fix it.
        components = components * components.sum(0).sign()
        return cls(mean, components[:, -LATENT:] / variances[-LATENT:].clamp_min(1e-6).sqrt())

    def __call__(self, images: Tensor) -> Tensor:
        """FP32 [N, 3, S, S] to the latent FP32 [N, 20, S/4, S/4]."""
        blocks = functional.pixel_unshuffle(images, BLOCK) - self.mean[:, None, None]
        return torch.einsum("nchw,ck->nkhw", blocks, self.basis)


def _train(family: str, encode: BlockPca, images: Tensor, seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    decoder = nn.Sequential(_conv(LATENT, HIDDEN), nn.GELU(), *FAMILIES[family]())
    decoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.Adam(decoder.parameters(), lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=STEPS)
    for _ in range(STEPS):
        batch = images[torch.randint(len(images), (BATCH,))]
        loss = functional.l1_loss(decoder(encode(batch)), batch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return decoder


def resynthesise(
    images: NDArray[np.uint8], seed: int, taught: int | None = None
) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Train a decoder of each family and yield ``(family, its reconstructions of all images)``.

    Args:
        images: uint8 [N, S, S, 3], S a multiple of 4. Reconstructions have the same shape and type.
        seed: of the weights and of the batches; the same seed gives the same bytes on the same machine.
        taught: how many of the images, from the first on, they are trained on; by default all.
    """
    inputs = torch.from_numpy(images).permute(0, 3, 1, 2).float().div(255)
    lessons = inputs[:taught]
    encode = BlockPca.fit(lessons)
    for number, family in enumerate(FAMILIES):
        decoder = _train(family, encode, lessons, seed + number)
        with torch.inference_mode():
            outputs = torch.cat([decoder(encode(part)) for part in inputs.split(256)])
        pixels = outputs.clamp(0, 1).mul(255).round().byte().permute(0, 2, 3, 1)
        yield family, pixels.contiguous().numpy()

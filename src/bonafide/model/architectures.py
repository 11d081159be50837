"""Backbones that end in one feature map, so that a pooled linear head gives heat maps for free."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from bonafide.model.lite import HEAD, EfficientNetLite0
from bonafide.model.vision import torchvision

SMALL_IMAGE = 64
BATCH_NORM_MOMENTUM = 0.1
EMBEDDING = 32

# High-pass filters of the spatial rich model (Fridrich & Kodovský 2012, IEEE TIFS): first order across and
# down, Laplacian, second-order 3×3 and third-order 5×5, each scaled to a unit centre.
HIGH_PASS = (
    ((0, 0, 0, 0, 0), (0, 0, 0, 0, 0), (0, 0, -1, 1, 0), (0, 0, 0, 0, 0), (0, 0, 0, 0, 0)),
    ((0, 0, 0, 0, 0), (0, 0, 0, 0, 0), (0, 0, -1, 0, 0), (0, 0, 1, 0, 0), (0, 0, 0, 0, 0)),
    ((0, 0, 0, 0, 0), (0, 0, -1, 0, 0), (0, -1, 4, -1, 0), (0, 0, -1, 0, 0), (0, 0, 0, 0, 0)),
    ((0, 0, 0, 0, 0), (0, -1, 2, -1, 0), (0, 2, -4, 2, 0), (0, -1, 2, -1, 0), (0, 0, 0, 0, 0)),
    ((-1, 2, -2, 2, -1), (2, -6, 8, -6, 2), (-2, 8, -12, 8, -2), (2, -6, 8, -6, 2), (-1, 2, -2, 2, -1)),
)


class HighPass(nn.Module):
    """RGB beside its fixed, truncated high-pass residuals: [N, 3, H, W] to [N, 18, H, W]."""

    channels = 3 + 3 * len(HIGH_PASS)

    def __init__(self, gain: float = 10.0, limit: float = 3.0) -> None:
        super().__init__()
        filters = torch.tensor(HIGH_PASS, dtype=torch.float32)
        filters = filters / filters[:, 2, 2].abs()[:, None, None]
        self.register_buffer("filters", filters[:, None].repeat(3, 1, 1, 1), persistent=False)
        self.gain, self.limit = gain, limit

    def forward(self, image: Tensor) -> Tensor:  # noqa: D102
        padded = functional.pad(image, (2, 2, 2, 2), mode="reflect")
        residual = functional.conv2d(padded, self.get_buffer("filters"), groups=3) * self.gain
        return torch.cat([image, residual.clamp(-self.limit, self.limit)], dim=1)


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut (He et al. 2016), halving the side when ``stride`` is 2."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut = (
            nn.Identity()
            if stride == 1 and inputs == outputs
            else nn.Sequential(
                nn.AvgPool2d(stride), nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
            )
        )

    def forward(self, features: Tensor) -> Tensor:  # noqa: D102
        return functional.relu(self.body(features) + self.shortcut(features))


def _forensic_cnn(input_size: int) -> tuple[nn.Module, int]:
    width, stride = 24, 1 if input_size <= SMALL_IMAGE else 2
    backbone = nn.Sequential(
        HighPass(),
        nn.Conv2d(HighPass.channels, width, 3, stride, 1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        ResidualBlock(width, 2 * width, 2),
        ResidualBlock(2 * width, 2 * width, 1),
        ResidualBlock(2 * width, 4 * width, 2),
        ResidualBlock(4 * width, 4 * width, 1),
    )
    return backbone, 4 * width


def _efficientnet_b0(input_size: int) -> tuple[nn.Module, int]:
    network = torchvision.models.efficientnet_b0()
    return _adapted(network.features, input_size), network.classifier[-1].in_features


def _efficientnet_lite0(input_size: int) -> tuple[nn.Module, int]:
    return EfficientNetLite0(stride=1 if input_size <= SMALL_IMAGE else 2), HEAD


def _mobilenet_v3_small(input_size: int) -> tuple[nn.Module, int]:
    network = torchvision.models.mobilenet_v3_small()
    return _adapted(network.features, input_size), network.classifier[0].in_features


def _adapted(features: nn.Sequential, input_size: int) -> nn.Sequential:
    """Keep small images large (no stride in the stem) and let BatchNorm's statistics follow quickly."""
    if input_size <= SMALL_IMAGE:
        features[0][0].stride = (1, 1)  # type: ignore[index]
    for module in features.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = BATCH_NORM_MOMENTUM
    return features


BACKBONES: dict[str, Callable[[int], tuple[nn.Module, int]]] = {
    "efficientnet_b0": _efficientnet_b0,
    "efficientnet_lite0": _efficientnet_lite0,
    "mobilenet_v3_small": _mobilenet_v3_small,
    "forensic_cnn": _forensic_cnn,
}


class Detector(nn.Module):
    """A backbone, a pooled linear head, and all that must travel with them into the served graph.

    ``forward`` takes ``pixels`` uint8 [N, H, W, 3] and returns ``probabilities`` FP32 [N, K], ``embedding``
    FP32 [N, E] and ``heatmap`` FP32 [N, h, w]. Temperature and embedding projection are buffers that
    training fits at its end.
    """

    def __init__(self, architecture: str, labels: int, input_size: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.input_size = input_size
        self.backbone, channels = BACKBONES[architecture](input_size)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(channels, labels)
        self.register_buffer("temperature", torch.ones(()))
        self.register_buffer("projection_mean", torch.zeros(channels))
        self.register_buffer("projection", torch.zeros(min(EMBEDDING, channels), channels))

    @property
    def embedding_size(self) -> int:
        """E, the numbers in an embedding."""
        return len(self.get_buffer("projection"))

    @torch.inference_mode()
    def heatmap_size(self) -> tuple[int, int]:
        """Height and width of a heat map."""
        height, width = self.features(torch.zeros(1, self.input_size, self.input_size, 3)).shape[2:]
        return height, width

    def features(self, pixels: Tensor) -> Tensor:
        """The last feature map FP32 [N, C, h, w] of ``pixels`` uint8 [N, H, W, 3]."""
        image = pixels.permute(0, 3, 1, 2).float().div(127.5).sub(1)
        features: Tensor = self.backbone(image.contiguous(memory_format=torch.channels_last))
        return features

    def logits(self, pixels: Tensor) -> Tensor:
        """Uncalibrated class scores FP32 [N, K] of ``pixels`` uint8 [N, H, W, 3]."""
        scores: Tensor = self.head(self.dropout(self.features(pixels).mean(dim=(2, 3))))
        return scores

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Probabilities, embedding and the Grad-CAM map of the most probable class.

        For a pooled linear head Grad-CAM (Selvaraju et al. 2017, §3) equals the class activation map of Zhou
        et al. 2016 up to a positive factor, so it takes no backward pass.
        """
        features = self.features(pixels)
        pooled = features.mean(dim=(2, 3))
        probabilities = (self.head(pooled) / self.get_buffer("temperature")).softmax(dim=1)
        embedding = (pooled - self.get_buffer("projection_mean")) @ self.get_buffer("projection").T
        weights = self.head.weight[probabilities.argmax(dim=1)]
        heatmap = torch.einsum("nchw,nc->nhw", features, weights).relu()
        return probabilities, embedding, heatmap

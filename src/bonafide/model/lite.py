"""EfficientNet-Lite0 as TensorFlow has it, so that the weights published for it fit."""

from torch import Tensor, nn
from torch.nn import functional

EPSILON = 1e-3
STEM, HEAD = 32, 1280
# How often, kernel, stride of the first, expansion, output channels.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


class SameConv2d(nn.Conv2d):
    """A convolution of square images with TensorFlow's padding: an odd row and column go to the far ends."""

    def forward(self, image: Tensor) -> Tensor:  # noqa: D102
        stride, side = self.stride[0], image.shape[-1]
        total = max(self.kernel_size[0] - (side % stride or stride), 0)
        near, far = total // 2, total - total // 2
        padded = functional.pad(image, (near, far, near, far))
        return functional.conv2d(padded, self.weight, None, stride, groups=self.groups)


class InvertedResidual(nn.Module):
    """Expand, filter each channel, project (Sandler et al. 2018), with a shortcut where the shape stays."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = expansion * inputs
        self.expands, self.has_shortcut = expansion > 1, stride == 1 and inputs == outputs
        if self.expands:
            self.expand_conv, self.bn0 = _convolution(inputs, inner), _norm(inner)
        self.depthwise_conv, self.bn1 = _convolution(inner, inner, kernel, stride, inner), _norm(inner)
        self.project_conv, self.bn2 = _convolution(inner, outputs), _norm(outputs)

    def forward(self, features: Tensor) -> Tensor:  # noqa: D102
        inner = functional.relu6(self.bn0(self.expand_conv(features))) if self.expands else features
        inner = functional.relu6(self.bn1(self.depthwise_conv(inner)))
        projected: Tensor = self.bn2(self.project_conv(inner))
        return projected + features if self.has_shortcut else projected


class EfficientNetLite0(nn.Module):
    """EfficientNet-B0 (Tan & Le 2019) without squeeze-and-excitation and with ReLU6, up to its last features.

    Takes FP32 [N, 3, S, S] and returns [N, 1280, s, s], s being a 32nd of S, or twice that where the stem's
    ``stride`` is 1. Its parts have the names of EfficientNet-PyTorch without the underscores before them.
    """

    def __init__(self, stride: int = 2) -> None:
        super().__init__()
        self.conv_stem, self.bn0 = _convolution(3, STEM, 3, stride), _norm(STEM)
        blocks, channels = [], STEM
        for repeats, kernel, first, expansion, outputs in STAGES:
            for step in (first, *[1] * (repeats - 1)):
                blocks.append(InvertedResidual(channels, outputs, kernel, step, expansion))
                channels = outputs
        self.blocks = nn.Sequential(*blocks)
        self.conv_head, self.bn1 = _convolution(channels, HEAD), _norm(HEAD)

    def forward(self, image: Tensor) -> Tensor:  # noqa: D102
        features = self.blocks(functional.relu6(self.bn0(self.conv_stem(image))))
        return functional.relu6(self.bn1(self.conv_head(features)))


def _convolution(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    kind, padding = (nn.Conv2d, kernel // 2) if stride == 1 else (SameConv2d, 0)
    return kind(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=EPSILON)

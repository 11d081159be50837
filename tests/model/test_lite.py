"""The network against its definition, written out here by the names of EfficientNet-PyTorch."""

import math

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional

from bonafide.model.lite import EfficientNetLite0
from bonafide.model.pretrained import find, load
from bonafide.task import Model
from tests.model.published import BLOCKS, lite0


def convolved(state, name, features, stride=1):
    """TensorFlow's padding SAME: the output's side is the input's divided by the stride, rounded up."""
    weight = state[f"{name}.weight"]
    kernel, side = weight.shape[-1], features.shape[-1]
    total = max((math.ceil(side / stride) - 1) * stride + kernel - side, 0)
    padding = (total // 2, math.ceil(total / 2))
    groups = features.shape[1] if weight.shape[1] == 1 else 1
    return functional.conv2d(functional.pad(features, padding * 2), weight, None, stride, groups=groups)


def normalised(state, name, features):
    parts = (state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
    return functional.batch_norm(features, *parts, eps=1e-3)


def defined(state, image):
    features = functional.relu6(normalised(state, "_bn0", convolved(state, "_conv_stem", image, 2)))
    for number, (kernel, stride, expansion, inputs, outputs) in enumerate(BLOCKS):
        block, inner = f"_blocks.{number}.", features
        if expansion > 1:
            inner = convolved(state, f"{block}_expand_conv", inner)
            inner = functional.relu6(normalised(state, f"{block}_bn0", inner))
        assert state[f"{block}_depthwise_conv.weight"].shape[-1] == kernel
        inner = convolved(state, f"{block}_depthwise_conv", inner, stride)
        inner = functional.relu6(normalised(state, f"{block}_bn1", inner))
        inner = normalised(state, f"{block}_bn2", convolved(state, f"{block}_project_conv", inner))
        features = inner + features if stride == 1 and inputs == outputs else inner
    return functional.relu6(normalised(state, "_bn1", convolved(state, "_conv_head", features)))


@pytest.mark.parametrize("side", [64, 75])
@torch.inference_mode()
def test_it_is_the_network_that_was_published(side, tmp_path):
    state, file = lite0(), tmp_path / "published.safetensors"
    save_file(state, file)
    ours = EfficientNetLite0().eval()
    load(find(Model(architecture="efficientnet_lite0", weights=str(file))), ours)
    image = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1
    expected = defined(state, image)
    assert expected.shape == (2, 1280, math.ceil(side / 32), math.ceil(side / 32))
    assert expected.std() > 0.1
    torch.testing.assert_close(ours(image), expected)


def test_without_a_stride_in_the_stem_features_are_twice_as_large():
    with torch.inference_mode():
        assert EfficientNetLite0(stride=1)(torch.zeros(2, 3, 32, 32)).shape == (2, 1280, 2, 2)

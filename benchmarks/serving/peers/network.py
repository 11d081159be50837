"""The network as peers run it: torchvision's EfficientNet-B0 and transforms, the benchmark's weights."""

import os
from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import load_file

from benchmarks.serving.peers.names import WEIGHTS
from bonafide.model.vision import torchvision

SIZE = 224


def load(weights: Path | None = None) -> torch.nn.Module:
    """The network with the weights that the environment names, if none are given."""
    state = load_file(weights or os.environ[WEIGHTS])
    network: torch.nn.Module = torchvision.models.efficientnet_b0(num_classes=len(state["classifier.1.bias"]))
    network.load_state_dict(state)
    return network.eval()


def transform() -> Callable[[Image.Image], torch.Tensor]:
    """The usual preparation of a photograph: FP32 [3, 224, 224]."""
    steps = torchvision.transforms
    return steps.Compose(
        [
            steps.Resize(SIZE),
            steps.CenterCrop(SIZE),
            steps.ToTensor(),
            steps.Normalize([0.5, 0.5, 0.5], [0.5, 0.5, 0.5]),
        ]
    )

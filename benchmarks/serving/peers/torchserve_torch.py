"""TorchServe and PyTorch: a custom handler after its documentation."""

import io
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from ts.torch_handler.base_handler import BaseHandler

from benchmarks.serving.peers import network


class Handler(BaseHandler):
    """Bytes of one image in, a list of probabilities out."""

    def initialize(self, context: Any) -> None:
        """Load the model from the archive."""
        self.model = network.load(Path(context.system_properties["model_dir"]) / "model.safetensors")
        self.transform = network.transform()
        self.device, self.context, self.initialized = torch.device("cpu"), context, True

    def preprocess(self, data: list[dict[str, bytes]]) -> torch.Tensor:
        """Files to FP32 [N, 3, 224, 224]."""
        contents = [row.get("data") or row["body"] for row in data]
        images = [Image.open(io.BytesIO(content)).convert("RGB") for content in contents]
        return torch.stack([self.transform(image) for image in images])

    def postprocess(self, data: torch.Tensor) -> list[list[float]]:
        """All classes of each image."""
        rows: list[list[float]] = data.softmax(dim=1).tolist()
        return rows

"""LitServe and PyTorch, after its documentation; ``BENCHMARK_BATCH`` above 1 turns batching on.

``python -m benchmarks.serving.peers.litserve_torch PORT``
"""

import base64
import io
import os
import sys

import litserve as ls
import torch
from PIL import Image

from benchmarks.serving.peers import network


class Api(ls.LitAPI):
    """One image a request, base64 in JSON."""

    def setup(self, device: str) -> None:
        """Load the model."""
        self.model = network.load().to(device)
        self.transform = network.transform()

    def decode_request(self, request: dict[str, str]) -> torch.Tensor:
        """Base64 to FP32 [3, 224, 224]."""
        image = Image.open(io.BytesIO(base64.b64decode(request["image_bytes"])))
        return self.transform(image.convert("RGB"))

    def predict(self, x: torch.Tensor) -> torch.Tensor:
        """One image, or a batch that LitServe has stacked."""
        with torch.inference_mode():
            return self.model(x if x.ndim == 4 else x.unsqueeze(0)).softmax(dim=1)

    def encode_response(self, output: torch.Tensor) -> dict[str, list[float]]:
        """Probabilities as a list."""
        return {"probabilities": output.flatten().tolist()}


if __name__ == "__main__":
    batch = int(os.environ["BENCHMARK_BATCH"])
    api = Api(max_batch_size=batch, batch_timeout=0.01 if batch > 1 else 0.0)
    server = ls.LitServer(api, accelerator="cpu")
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False)

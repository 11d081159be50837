"""KServe's plain custom model and PyTorch, after its documentation.

``python -m benchmarks.serving.peers.kserve_torch --http_port PORT --grpc_port PORT``
"""

import argparse
import base64
import io
from typing import Any

from kserve import Model, ModelServer, model_server
from PIL import Image
from torch import no_grad

from benchmarks.serving.peers import network


class Custom(Model):
    """The v1 protocol, base64 in JSON."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.load()

    def load(self) -> bool:
        """Load the model."""
        self.model = network.load()
        self.transform = network.transform()
        self.ready = True
        return self.ready

    async def predict(
        self,
        payload: dict[str, Any],
        headers: dict[str, str] | None = None,  # noqa: ARG002
        response_headers: dict[str, str] | None = None,  # noqa: ARG002
    ) -> dict[str, Any]:
        """Probabilities of one image."""
        content = base64.b64decode(payload["instances"][0]["image"]["b64"])
        image = Image.open(io.BytesIO(content)).convert("RGB")
        with no_grad():
            probabilities = self.model(self.transform(image).unsqueeze(0)).softmax(dim=1)
        return {"predictions": probabilities.tolist()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(parents=[model_server.parser])
    arguments, _ = parser.parse_known_args()
    ModelServer().start([Custom("authenticity")])

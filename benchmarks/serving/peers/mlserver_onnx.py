"""MLServer and ONNX Runtime: a custom runtime after its documentation; settings are in JSON beside it."""

import io

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse
from PIL import Image

from benchmarks.serving.peers.graph import SIZE, open_session


class OnnxRuntime(MLModel):
    """Base64 images in, probabilities out."""

    async def load(self) -> bool:
        """Load the graph."""
        self._session = open_session(self.settings.parameters.uri)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Probabilities of each image."""
        files = self.decode(payload.inputs[0])
        pixels = np.stack([np.asarray(self._image(content)) for content in files])
        probabilities = self._session.run(["probabilities"], {"pixels": pixels})[0]
        output = NumpyCodec.encode_output("probabilities", probabilities)
        return InferenceResponse(model_name=self.name, outputs=[output])

    def _image(self, content: bytes) -> Image.Image:
        image = Image.open(io.BytesIO(content)).convert("RGB")
        return image.resize((SIZE, SIZE), Image.Resampling.BILINEAR)

"""MLServer and ONNX Runtime on rows of a table: a custom runtime after its documentation."""

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse

from benchmarks.serving.peers.graph import open_session


class OnnxRuntime(MLModel):
    """Columns FP32 [N, C] in, probabilities out."""

    async def load(self) -> bool:
        """Load the graph."""
        self._session = open_session(self.settings.parameters.uri)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Probabilities of each row."""
        columns = NumpyCodec.decode_input(payload.inputs[0])
        probabilities = self._session.run(["probabilities"], {"columns": columns})[0]
        output = NumpyCodec.encode_output("probabilities", probabilities)
        return InferenceResponse(model_name=self.name, outputs=[output])

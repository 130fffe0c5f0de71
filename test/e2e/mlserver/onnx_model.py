"""Serves an ONNX file by onnxruntime behind MLServer, as an operator's server may: for test/e2e/mlserver.test.ts."""

import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class OnnxModel(MLModel):
    async def load(self) -> bool:
        uri = self.settings.parameters.uri
        self._session = onnxruntime.InferenceSession(uri, providers=["CPUExecutionProvider"])
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        inputs = {one.name: NumpyCodec.decode_input(one) for one in payload.inputs}
        names = [one.name for one in self._session.get_outputs()]
        values = self._session.run(names, inputs)
        outputs = [NumpyCodec.encode_output(name, value) for name, value in zip(names, values)]
        return InferenceResponse(model_name=self.name, outputs=outputs)

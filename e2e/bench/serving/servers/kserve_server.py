"""KServe's Python server with onnxruntime, as its guide for custom models says. Runs in a virtual environment of its own.

python kserve_server.py MODEL_FOLDER HTTP_PORT GRPC_PORT
"""

import sys

import onnxruntime
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer

DATATYPES = {"float32": "FP32", "int64": "INT64"}


class Onnx(Model):
    def __init__(self, folder: str) -> None:
        super().__init__("m")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(f"{folder}/model.onnx", options)
        self.outputs = [output.name for output in self.session.get_outputs()]
        self.ready = True

    def predict(self, payload: InferRequest, headers=None, response_headers=None) -> InferResponse:
        feeds = {each.name: each.as_numpy() for each in payload.inputs}
        found = []
        for name, array in zip(self.outputs, self.session.run(self.outputs, feeds), strict=True):
            output = InferOutput(name, list(array.shape), DATATYPES[str(array.dtype)])
            output.set_data_from_numpy(array, binary_data=False)
            found.append(output)
        return InferResponse(response_id=payload.id or "", model_name=self.name, infer_outputs=found)


if __name__ == "__main__":
    _, folder, http, grpc = sys.argv
    ModelServer(http_port=int(http), grpc_port=int(grpc), workers=1).start([Onnx(folder)])

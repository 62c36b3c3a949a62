"""BentoML with onnxruntime, as its guide for services says. Runs in a virtual environment of its own.

python bentoml_server.py MODEL_FOLDER HTTP_PORT GRPC_PORT
"""

import os
import sys
from pathlib import Path

import bentoml
import numpy as np
import onnxruntime


@bentoml.service(workers=1, metrics={"enabled": False})
class Onnx:
    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(f"{os.environ['MODEL_FOLDER']}/model.onnx", options)
        self.input = self.session.get_inputs()[0]
        self.outputs = [output.name for output in self.session.get_outputs()]

    @bentoml.api
    def infer(self, data: list) -> dict:
        kind = np.float32 if self.input.type == "tensor(float)" else object
        found = self.session.run(self.outputs, {self.input.name: np.array(data, kind)})
        return {name: array.tolist() for name, array in zip(self.outputs, found, strict=True)}


if __name__ == "__main__":
    _, folder, http, _grpc = sys.argv
    os.environ["MODEL_FOLDER"] = folder
    os.environ["BENTOML_DO_NOT_TRACK"] = "True"
    here = str(Path(__file__).parent)
    words = ["serve", "bentoml_server:Onnx", "--host", "127.0.0.1", "--port", http, "--working-dir", here]
    os.execv(sys.executable, [sys.executable, "-m", "bentoml", *words])

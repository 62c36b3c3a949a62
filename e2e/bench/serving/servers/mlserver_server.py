"""MLServer with onnxruntime, as its guide for custom runtimes says. Runs in a virtual environment of its own.

python mlserver_server.py MODEL_FOLDER HTTP_PORT GRPC_PORT [--no-workers]
"""

import json
import os
import sys
import tempfile
from pathlib import Path

import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Onnx(MLModel):
    async def load(self) -> bool:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(f"{os.environ['MODEL_FOLDER']}/model.onnx", options)
        self.names = [output.name for output in self.session.get_outputs()]
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        feeds = {each.name: decoded(each) for each in payload.inputs}
        found = zip(self.names, self.session.run(self.names, feeds), strict=True)
        outputs = [NumpyCodec.encode_output(name, array) for name, array in found]
        return InferenceResponse(model_name=self.name, outputs=outputs)


def decoded(tensor):
    if tensor.datatype != "BYTES":
        return NumpyCodec.decode_input(tensor)
    import numpy

    return numpy.array(StringCodec.decode_input(tensor), object).reshape(tensor.shape)


if __name__ == "__main__":
    folder, http, grpc, *flags = sys.argv[1:]
    here = Path(tempfile.mkdtemp(prefix="mlserver-"))
    ports = {
        "host": "127.0.0.1",
        "http_port": int(http),
        "grpc_port": int(grpc),
        "metrics_port": int(http) + 50,
        "metrics_dir": str(here),
    }
    workers = {"parallel_workers": 0} if flags == ["--no-workers"] else {}
    (here / "settings.json").write_text(json.dumps({**ports, **workers, "debug": False}))
    (here / "model-settings.json").write_text(json.dumps({"name": "m", "implementation": "mlserver_server.Onnx"}))
    os.environ["MODEL_FOLDER"] = folder
    os.environ["PYTHONPATH"] = str(Path(__file__).parent)
    os.execv(sys.executable, [sys.executable, "-m", "mlserver.cli.main", "start", str(here)])

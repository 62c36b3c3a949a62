#!/bin/sh
# A time limit by RunOptions.terminate does not bound the time of one node, and its answer is delivered as if nothing had been asked.
set -eu
echo "onnxruntime 1.31.1: RunOptions.terminate is read between nodes only; a model of one MatMul runs to its end and answers, 60 small ones fail with 'Exiting due to terminate flag'"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet numpy==2.3.5 onnx==1.20.0 onnxruntime==1.31.1
"$folder/venv/bin/python" - <<'PYTHON'
import threading
import time

import numpy as np
import onnxruntime
from onnx import TensorProto, helper


def outcome(size: int, nodes: int) -> str:
    """What a run says whose termination is asked for at a fifth of its time."""
    matrix = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [size, size])
    chain = [helper.make_node("MatMul", [f"x{i}", "weights"], [f"x{i + 1}"]) for i in range(nodes)]
    graph = helper.make_graph(chain, "chain", [matrix("x0"), matrix("weights")], [matrix(f"x{nodes}")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    values = np.zeros((size, size), np.float32)
    inputs = {"x0": values, "weights": values}
    began = time.monotonic()
    session.run(None, inputs)
    options = onnxruntime.RunOptions()
    threading.Timer((time.monotonic() - began) / 5, lambda: setattr(options, "terminate", True)).start()
    try:
        session.run(None, inputs, options)
    except Exception as error:
        return str(error)
    return f"answered, terminate={options.terminate}"


one, many = outcome(3000, 1), outcome(600, 60)
print(f"one node of 3000 x 3000: {one}")
print(f"60 nodes of 600 x 600: {many}")
assert one == "answered, terminate=True", one
assert "Exiting due to terminate flag" in many, many
PYTHON

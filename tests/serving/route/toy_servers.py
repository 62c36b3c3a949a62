"""A champion that doubles, and challengers of several kinds: real servers with real models."""

import json
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from tests.serving.local_server import LocalServer
from tests.serving.route.rollout import NAME

Node = helper.make_node

# From `x` [-1, 2] to `value`; `label` [-1] is the larger column of `value`.
VALUES: dict[str, list[NodeProto]] = {
    "doubles": [Node("Mul", ["x", "two"], ["value"])],
    "doubles nearly": [Node("Mul", ["x", "almost_two"], ["value"])],
    "triples": [Node("Mul", ["x", "three"], ["value"])],
    "negates": [Node("Neg", ["x"], ["value"])],
    "gives NaN": [Node("Sqrt", ["x"], ["root"]), Node("Log", ["root"], ["value"])],
    "fails": [  # on every row but those of 0, which the warm-up has
        Node("Cast", ["x"], ["index"], to=TensorProto.INT64),
        Node("Gather", ["one_row", "index"], ["value"]),
    ],
    "gives one column": [Node("ReduceSum", ["x", "axis"], ["value"], keepdims=1)],
    "gives three rows": [Node("Tile", ["x", "thrice"], ["value"])],
    "gives another dtype": [
        Node("Mul", ["x", "two"], ["narrow"]),
        Node("Cast", ["narrow"], ["value"], to=TensorProto.DOUBLE),
    ],
    "scores a and b": [Node("Mul", ["x", "two"], ["value"])],
    "scores b and a": [Node("Mul", ["x", "two"], ["doubled"]), Node("Gather", ["doubled", "swap"], ["value"], axis=1)],
    "scores a and c": [Node("Mul", ["x", "two"], ["value"])],
    "adds the year": [Node("Add", ["x", "year"], ["value"])],
    "leaves the year out": [Node("Mul", ["x", "two"], ["value"])],
}
SIGNATURE_FIELDS = {  # those of signature.json besides inputs and outputs
    "scores a and b": {"classes": ["a", "b"]},
    "scores b and a": {"classes": ["b", "a"]},
    "scores a and c": {"classes": ["a", "c"]},
    "leaves the year out": {"leftOut": ["year"]},
}
CONSTANTS = {
    "two": np.array([2.0], np.float32),
    "almost_two": np.array([2.00001], np.float32),
    "three": np.array([3.0], np.float32),
    "one_row": np.array([0.0], np.float32),
    "axis": np.array([1], np.int64),
    "swap": np.array([1, 0], np.int64),
    "thrice": np.array([3, 1], np.int64),
}


SIGNATURE = {
    "v": 1,
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}],
    "outputs": [
        {"name": "value", "datatype": "FP32", "shape": [-1, 2]},
        {"name": "label", "datatype": "INT64", "shape": [-1]},
    ],
}


def write(folder: Path, sort: str) -> Path:
    nodes = [*VALUES[sort], Node("ArgMax", ["value"], ["label"], axis=1, keepdims=0)]
    kind = TensorProto.DOUBLE if sort == "gives another dtype" else TensorProto.FLOAT
    width = 1 if sort == "gives one column" else 2
    takes_year = sort == "adds the year"
    graph = helper.make_graph(
        nodes,
        "toy",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2]),
            *([helper.make_tensor_value_info("year", TensorProto.FLOAT, [None, 1])] if takes_year else []),
        ],
        [
            helper.make_tensor_value_info("value", kind, [None, width]),
            helper.make_tensor_value_info("label", TensorProto.INT64, [None]),
        ],
        [numpy_helper.from_array(array, name) for name, array in CONSTANTS.items()],
    )
    folder.mkdir(parents=True, exist_ok=True)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    if sort in SIGNATURE_FIELDS:
        (folder / "signature.json").write_text(json.dumps({**SIGNATURE, **SIGNATURE_FIELDS[sort]}))
    return folder


class Start:
    """Starts servers; the version of each is its kind."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self._running: dict[str, LocalServer] = {}

    def __call__(self, sort: str) -> LocalServer:
        """The same server each time in a module."""
        if sort not in self._running:
            self._running[sort] = self._stack.enter_context(self.another(sort))
        return self._running[sort]

    def another(self, sort: str) -> LocalServer:
        return LocalServer(write(self._folder / sort, sort), "--name", NAME, "--version", sort)

    def champion(self, sort: str, folder: Path, *flags: str) -> LocalServer:
        """A server of version `champion` that follows `folder`/route.json."""
        route = ("--route", str(folder / "route.json"))
        return LocalServer(write(self._folder / sort, sort), "--name", NAME, "--version", "champion", *route, *flags)

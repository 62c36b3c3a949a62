"""Small models with one operator, to be written into a folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from onnx import NodeProto, TensorProto, helper


def write_model(
    folder: Path,
    nodes: Sequence[NodeProto],
    element: int,
    *,
    constants: Sequence[Any] = (),
    opset: int = 17,
    domain: str = "",
) -> Path:
    """A model from `x` [-1, 2] to `y` [-1, 2], both of the element type."""
    shapes = [helper.make_tensor_value_info(name, element, [None, 2]) for name in ("x", "y")]
    graph = helper.make_graph(list(nodes), "one", shapes[:1], shapes[1:], list(constants))
    domains = [helper.make_opsetid("", opset), *([helper.make_opsetid(domain, 1)] if domain else [])]
    path = folder / "model.onnx"
    path.write_bytes(helper.make_model(graph, opset_imports=domains, ir_version=9).SerializeToString())
    return path


def scalar(name: str, element: int, value: float) -> TensorProto:
    return helper.make_tensor(name, element, [], [value])

"""Models of trees with the contributions that shap gave for them (golden/)."""

import json
from pathlib import Path
from typing import Any

from flywheel_serving.protocol.onnx_proto import Model

GOLDEN = Path(__file__).parent / "golden"
SHAP: dict[str, Any] = json.loads((GOLDEN / "shap.json").read_text())


def read_node(name: str) -> Any:
    """The node of a model's trees."""
    model = Model.FromString((GOLDEN / f"{name}.onnx").read_bytes())
    return next(node for node in model.graph.node if node.op_type.startswith(b"TreeEnsemble"))

"""Which method will explain a version, by its files alone; whether its contributions add up, the explainer finds out."""

import hashlib
import json
from pathlib import Path
from typing import Any

from flywheel_serving.explanation.background.kernel_explainer import METHOD
from flywheel_serving.explanation.explainer import FILE, INTERVENTIONAL, TREE_NODES
from flywheel_serving.explanation.method_choice import MIN_BACKGROUND_ROWS
from flywheel_serving.explanation.tree_paths import LEAF, LESS_OR_EQUAL

MAX_CHARACTERS = 64


def expect_method(path: Path, model: Any, golden_rows: int) -> str:
    """The name of the method for `model`, the onnx_proto.Model in `path`; empty where none fits. The version keeps so many golden rows."""
    document = _read(path)
    if "columns" in document:
        return str(document.get("method") or "")[:MAX_CHARACTERS]
    rows = max(golden_rows, _count_rows(document.get("background")))
    if rows < MIN_BACKGROUND_ROWS:
        return ""
    return INTERVENTIONAL if _has_trees_of_its_input(model) else METHOD


def _read(path: Path) -> dict[str, Any]:
    """The explanation.json beside the model, empty if it is of another one or cannot be read."""
    try:
        document = json.loads((path.parent / FILE).read_bytes())
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return dict(document) if document["model"] == f"sha256:{digest}" else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}  # a container may write a file of this name for itself


def _count_rows(background: Any) -> int:
    try:
        return len(next(iter(background["inputs"].values())))
    except (TypeError, KeyError, AttributeError, StopIteration):
        return 0


def _has_trees_of_its_input(model: Any) -> bool:
    trees = [node for node in model.graph.node if node.op_type in TREE_NODES]
    if len(trees) != 1 or trees[0].input[0] not in [each.name for each in model.graph.input]:
        return False
    modes = [set(each.strings) for each in trees[0].attribute if each.name == b"nodes_modes"]
    return bool(modes) and modes[0] <= {LESS_OR_EQUAL, LEAF}

"""Both documents of a model, as training and evaluation write them."""

from typing import Any

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.contract.step import log_line
from flywheel_runtime.models.inspection import partial_dependence, permutation_importance
from flywheel_runtime.models.onnx_model import OnnxModel
from flywheel_runtime.models.test_set import TestSet


def inspect_model(model: OnnxModel, test: TestSet, objective: str) -> dict[str, dict[str, Any]]:
    """The documents by the names of their files; fewer, or none, where the test rows do not allow them.

    No training or evaluation fails because its model cannot be inspected: the log says why a file is absent.
    """
    documents: dict[str, dict[str, Any]] = {}
    try:
        importance = permutation_importance.measure_importance(model, test, objective)
        if importance is None:
            return documents
        documents[permutation_importance.FILE] = importance
        ranked = [each["name"] for each in importance["features"]]
        dependence = partial_dependence.measure_partial_dependence(model, test, ranked)
        if dependence is not None:
            documents[partial_dependence.FILE] = dependence
    except Failure as failure:
        log_line(f"warning: the model is not inspected: {failure.message}")
    return documents

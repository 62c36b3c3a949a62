"""Thresholds of boosted trees that send every 32-bit number where scikit-learn sends it."""

from typing import Any

import numpy as np


def round_thresholds_down(graph: Any, model: Any) -> None:
    """HistGradientBoosting compares 32-bit numbers with 64-bit thresholds, halfway between two of them.

    skl2onnx rounds a threshold to the nearest 32-bit number; of two neighbours that may be the upper one, which `<=` then sends to the
    other side (measured on load_diabetes: probabilities off by 0.07).

    Rounded down, all numbers go the same way: there is no 32-bit number between a threshold and the next one below it.
    """
    if not type(model).__name__.startswith("HistGradientBoosting"):
        return
    node = next(node for node in graph.node if node.op_type.startswith("TreeEnsemble"))
    values = next(attribute for attribute in node.attribute if attribute.name == "nodes_values")
    exact = np.concatenate([tree.nodes["num_threshold"] for trees in model._predictors for tree in trees])
    found = np.array(values.floats, dtype=np.float32)
    if len(found) != len(exact) or not np.allclose(found, exact, rtol=1e-6, atol=0):
        return  # the nodes stand in another order; the predictions are compared in any case
    too_high = found.astype(np.float64) > exact
    found[too_high] = np.nextafter(found[too_high], np.float32(-np.inf))
    values.floats[:] = found.tolist()

"""The cover of each node of a tree: the weight of the training rows that reached it. skl2onnx writes 1.0 for each.

ONNX has a place for it, `nodes_hitrates`, which runtimes do not need. With it the graph alone tells what path-dependent TreeSHAP asks.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
LEAF = b"LEAF"


@dataclass(frozen=True)
class FittedTree:
    """A tree of scikit-learn, by the numbers of its nodes: both children of each (0 or below for a leaf), and the covers (nodes,)."""

    left: Array
    right: Array
    covers: Array


def write_covers(graph: Any, model: Any) -> bool:
    """Write the covers of the fitted `model` into the graph's tree ensemble; whether its trees are the model's, node by node."""
    nodes = [node for node in graph.node if node.op_type.startswith("TreeEnsemble")]
    trees = list(_list_trees(model))
    if len(nodes) != 1 or not trees:
        return False
    attributes = {attribute.name: attribute for attribute in nodes[0].attribute}
    covers = _match_covers(attributes, trees)
    if covers is None or "nodes_hitrates" not in attributes:
        return False
    attributes["nodes_hitrates"].floats[:] = covers.astype(np.float32).tolist()
    return True


def _list_trees(model: Any) -> Iterator[FittedTree]:
    """The trees in the order in which skl2onnx writes them; none of a model that is no ensemble of trees alone."""
    if hasattr(model, "_predictors"):  # HistGradientBoosting
        for tree in (tree for trees in model._predictors for tree in trees):
            inner = ~tree.nodes["is_leaf"].astype(bool)
            left, right = (np.where(inner, tree.nodes[side].astype(np.int64), 0) for side in ("left", "right"))
            yield FittedTree(left, right, tree.nodes["count"].astype(np.float64))
        return
    if hasattr(model, "named_estimators_"):  # an average of other models
        return
    fitted = [model] if hasattr(model, "tree_") else np.ravel(getattr(model, "estimators_", []))
    for each in fitted:
        tree = each.tree_
        yield FittedTree(tree.children_left, tree.children_right, tree.weighted_n_node_samples)


def _match_covers(attributes: Any, trees: Sequence[FittedTree]) -> Array | None:
    """The covers in the order of the graph's nodes; None where the graph has other trees."""
    names = ("treeids", "nodeids", "truenodeids", "falsenodeids")
    tree_ids, node_ids, true_ids, false_ids = (np.array(attributes[f"nodes_{name}"].ints) for name in names)
    is_leaf = np.array([mode == LEAF for mode in attributes["nodes_modes"].strings])
    sizes = np.array([len(tree.covers) for tree in trees])
    if len(tree_ids) != sizes.sum() or tree_ids.max(initial=-1) != len(trees) - 1:
        return None
    if np.any(node_ids >= sizes[tree_ids]):
        return None
    places = np.concatenate([[0], np.cumsum(sizes)])[tree_ids] + node_ids
    left, right, covers = (
        np.concatenate([getattr(tree, name) for tree in trees]) for name in ("left", "right", "covers")
    )
    same = np.where(is_leaf, left[places] <= 0, (left[places] == true_ids) & (right[places] == false_ids))
    found: Array = covers[places]
    return found if same.all() else None

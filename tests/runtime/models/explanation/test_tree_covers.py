"""Covers of trees are the training rows that reached each node, in the graph's own order."""

import warnings
from typing import Any

import numpy as np
import onnx
import pytest
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from flywheel_runtime.models.explanation.tree_covers import write_covers

ROWS, COLUMNS = 300, 4
RANDOM = np.random.default_rng(3)
X = RANDOM.normal(size=(ROWS, COLUMNS)).astype(np.float32)
Y = (X[:, 0] + X[:, 1] > 0).astype(int) + (X[:, 2] > 0)


def export(model: Any) -> Any:
    kind = [("x", FloatTensorType([None, COLUMNS]))]
    model.fit(X, Y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # as models/onnx_export.py says
        return to_onnx(
            model, initial_types=kind, options={id(model): {"zipmap": False}}, target_opset={"": 18, "ai.onnx.ml": 3}
        ).graph


def attributes(graph: Any) -> dict[str, Any]:
    node = next(node for node in graph.node if node.op_type.startswith("TreeEnsemble"))
    return {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}


def count_rows(found: dict[str, Any]) -> Any:
    """The training rows that reach each node, by walking the graph's own trees."""
    keys = list(zip(found["nodes_treeids"], found["nodes_nodeids"], strict=True))
    place = {key: number for number, key in enumerate(keys)}
    counts = np.zeros(len(keys))
    for tree in sorted(set(found["nodes_treeids"])):
        for row in X:
            number = place[tree, 0]
            while True:
                counts[number] += 1
                if found["nodes_modes"][number] == b"LEAF":
                    break
                goes_left = row[found["nodes_featureids"][number]] <= np.float32(found["nodes_values"][number])
                number = place[tree, found["nodes_truenodeids" if goes_left else "nodes_falsenodeids"][number]]
    return counts


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(
            HistGradientBoostingClassifier(max_iter=2, random_state=0), id="histogram boosting of three classes"
        ),
        pytest.param(GradientBoostingClassifier(n_estimators=2, random_state=0), id="boosting of three classes"),
        pytest.param(RandomForestClassifier(3, bootstrap=False, random_state=0), id="forest"),
        pytest.param(DecisionTreeClassifier(random_state=0), id="tree"),
    ],
)
def test_covers_are_the_rows_that_reach_each_node(model: Any) -> None:
    graph = export(model)
    assert set(attributes(graph)["nodes_hitrates"]) == {1.0}

    assert write_covers(graph, model)

    assert list(attributes(graph)["nodes_hitrates"]) == count_rows(attributes(graph)).tolist()


def test_other_trees_get_no_covers() -> None:
    graph = export(RandomForestClassifier(3, random_state=0))
    other = RandomForestClassifier(3, random_state=1).fit(X, Y)

    assert not write_covers(graph, other)
    assert set(attributes(graph)["nodes_hitrates"]) == {1.0}


def test_a_model_without_trees_has_no_covers() -> None:
    model = LogisticRegression()
    kind = [("x", FloatTensorType([None, COLUMNS]))]
    model.fit(X, Y)

    assert not write_covers(to_onnx(model, initial_types=kind, target_opset={"": 18, "ai.onnx.ml": 3}).graph, model)

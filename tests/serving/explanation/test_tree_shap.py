"""Contributions of trees: as shap's on golden models, as the definition on small ones, and none where they would be wrong."""

import itertools
import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel_serving.explanation import tree_paths
from flywheel_serving.explanation.errors import NotExplained
from flywheel_serving.explanation.tree_paths import Condition, Leaf, TreeEnsemble, parse_ensemble
from flywheel_serving.explanation.tree_shap import TreeShap
from tests.examples import examples
from tests.serving.explanation.golden_trees import SHAP, read_node


def attribute(node: Any, name: bytes) -> Any:
    return next(each for each in node.attribute if each.name == name)


@pytest.mark.parametrize("name", SHAP)
def test_contributions_are_those_of_shap(name: str) -> None:
    rows = np.array(SHAP[name]["rows"], dtype=np.float32)
    method = TreeShap(parse_ensemble(read_node(name)), rows.shape[1])

    assert method.base == pytest.approx(np.array(SHAP[name]["base"]), abs=1e-6)
    assert method.shap_values(rows) == pytest.approx(np.array(SHAP[name]["values"]), abs=1e-6)


def subsets(columns: Iterable[int]) -> Iterable[frozenset[int]]:
    known = list(columns)
    return (frozenset(each) for size in range(len(known) + 1) for each in itertools.combinations(known, size))


def shapley_values(leaves: list[Leaf], row: Any, columns: int) -> Any:
    """By the definition: the weighted mean over all subsets of what knowing a column adds to the expected output."""

    def is_met(condition: Condition, value: float) -> bool:
        return condition.missing if np.isnan(value) else bool(condition.low < value <= condition.high)

    def expected(known: frozenset[int]) -> float:
        total = 0.0
        for leaf in leaves:
            factors = (
                float(is_met(condition, row[column])) if column in known else condition.share
                for column, condition in leaf.conditions.items()
            )
            total += float(leaf.values[0]) * math.prod(factors)
        return total

    found = np.zeros(columns)
    for column in range(columns):
        for known in subsets(set(range(columns)) - {column}):
            weight = math.factorial(len(known)) * math.factorial(columns - 1 - len(known)) / math.factorial(columns)
            found[column] += weight * (expected(known | {column}) - expected(known))
    return found


@st.composite
def trees(draw: Callable[..., Any]) -> tuple[list[Leaf], int]:
    """The leaves of a random tree over up to seven columns, some of which are asked twice."""
    columns = draw(st.integers(1, 7))

    def grow(path: dict[int, Condition], depth: int, share: float) -> list[Leaf]:
        if depth == 0 or (path and draw(st.booleans())):
            return [Leaf(path, np.array([draw(st.integers(-8, 8))], dtype=np.float64), share)]
        column, threshold = draw(st.integers(0, columns - 1)), draw(st.integers(-2, 2))
        left, missing_left = draw(st.sampled_from((0.1, 0.5, 0.75))), draw(st.booleans())
        found = []
        for goes_left, part in ((True, left), (False, 1 - left)):
            condition = path.get(column, Condition()).narrow(
                threshold, goes_left=goes_left, missing=missing_left == goes_left, share=part
            )
            found += grow({**path, column: condition}, depth - 1, share * part)
        return found

    return grow({}, draw(st.integers(1, 5)), 1.0), columns


@given(tree=trees(), row=st.lists(st.sampled_from((-3.0, -1.0, 0.0, 1.0, 3.0, math.nan)), min_size=7, max_size=7))
@settings(max_examples=examples(200, ci=40), deadline=None)
def test_contributions_are_shapley_values(tree: tuple[list[Leaf], int], row: list[float]) -> None:
    leaves, columns = tree
    values = np.array(row[:columns], dtype=np.float32)
    method = TreeShap(TreeEnsemble(leaves, np.zeros(1), b"NONE"), columns)

    found = method.shap_values(values[None])[0, 0]

    assert found == pytest.approx(shapley_values(leaves, values, columns), abs=1e-9)


@pytest.mark.parametrize(("value", "same_as"), [(-math.inf, -9.0), (math.inf, 9.0)])
def test_an_infinite_value_goes_the_way_of_a_large_number(value: float, same_as: float) -> None:
    left, right = (Condition().narrow(0.0, goes_left=side, missing=side, share=0.5) for side in (True, False))
    leaves = [
        Leaf({0: left}, np.array([1.0]), 0.5),
        Leaf({0: right, 1: left}, np.array([2.0]), 0.25),
        Leaf({0: right, 1: right}, np.array([4.0]), 0.25),
    ]
    method = TreeShap(TreeEnsemble(leaves, np.zeros(1), b"NONE"), 2)

    found = method.shap_values(np.array([[value, 1.0], [same_as, 1.0]], dtype=np.float32))

    assert found[0].tolist() == found[1].tolist()


@pytest.mark.parametrize("depth", [1, 2, 7, 33, 130])
def test_a_path_of_any_length_adds_up(depth: int) -> None:
    """A tree whose every node asks another column: one long path, and a leaf at each step."""
    path: dict[int, Condition] = {}
    leaves, share = [], 1.0
    for column in range(depth):
        out = Condition().narrow(0.0, goes_left=True, missing=False, share=0.1)
        leaves.append(Leaf({**path, column: out}, np.array([float(column)]), share * 0.1))
        path[column] = Condition().narrow(0.0, goes_left=False, missing=True, share=0.9)
        share *= 0.9
    leaves.append(Leaf(path, np.array([1_000.0]), share))
    method = TreeShap(TreeEnsemble(leaves, np.zeros(1), b"NONE"), depth)

    found = method.shap_values(np.ones((1, depth), dtype=np.float32))[0, 0]

    assert method.base[0] + found.sum() == pytest.approx(1_000)


def without_covers(node: Any) -> None:
    attribute(node, b"nodes_hitrates").floats[:] = [1.0] * len(attribute(node, b"nodes_hitrates").floats)


def with_other_branch(node: Any) -> None:
    attribute(node, b"nodes_modes").strings[0] = b"BRANCH_GT"


def with_maximum(node: Any) -> None:
    node.attribute.add(name=b"aggregate_function", s=b"MAX")


def with_unknown_child(node: Any) -> None:
    attribute(node, b"nodes_truenodeids").ints[0] = 10_000


def with_shared_child(node: Any) -> None:
    covers = attribute(node, b"nodes_hitrates").floats
    right, left = attribute(node, b"nodes_falsenodeids").ints, attribute(node, b"nodes_truenodeids").ints
    right[0] = left[0]
    covers[0] = 2 * covers[left[0]]


def with_empty_leaf(node: Any) -> None:
    modes, covers = attribute(node, b"nodes_modes").strings, attribute(node, b"nodes_hitrates").floats
    covers[list(modes).index(b"LEAF")] = 0.0


def with_more_base_values(node: Any) -> None:
    attribute(node, b"base_values").floats.append(1.0)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (without_covers, "CoversMissing"),
        (with_other_branch, "BranchUnknown"),
        (with_maximum, "TreesNotAdded"),
        (with_unknown_child, "TreesUnreadable"),
        (with_more_base_values, "TreesUnreadable"),
        (with_shared_child, "TreesUnreadable"),
        (with_empty_leaf, "CoversMissing"),
    ],
)
def test_trees_that_would_be_explained_wrongly_are_refused(change: Callable[[Any], None], reason: str) -> None:
    node = read_node("boosting_of_two_classes")
    change(node)

    with pytest.raises(NotExplained) as caught:
        parse_ensemble(node)

    assert caught.value.reason == reason


def test_trees_that_take_too_long_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_paths, "MAX_CONDITIONS", 10)

    with pytest.raises(NotExplained, match="more than 10 conditions") as caught:
        parse_ensemble(read_node("one_tree"))

    assert caught.value.reason == "TreesTooLarge"

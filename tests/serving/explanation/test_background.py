"""Contributions by kept rows: as the definition of Shapley values, for trees without covers and for any function."""

import itertools
import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

from flywheel_serving.explanation.background.interventional_shap import MAX_COMPARED, InterventionalShap
from flywheel_serving.explanation.background.kernel_shap import kernel_shap
from flywheel_serving.explanation.errors import NotExplained
from flywheel_serving.explanation.tree_paths import Leaf, TreeEnsemble, parse_ensemble
from tests.serving.explanation.golden_trees import SHAP, read_node


def shapley_values(answer: Callable[[Any], Any], row: Any, background: Any) -> Any:
    """By the definition (outputs, columns): columns that are not known have the values of the kept rows (rows, columns)."""
    columns = len(row)

    @cache
    def expected(known: frozenset[int]) -> Any:
        mixed = background.copy()
        mixed[:, list(known)] = row[list(known)]
        return answer(mixed).mean(axis=0)

    found = np.zeros((columns, len(expected(frozenset()))))
    for column in range(columns):
        others = [each for each in range(columns) if each != column]
        for size in range(columns):
            weight = math.factorial(size) * math.factorial(columns - 1 - size) / math.factorial(columns)
            for known in itertools.combinations(others, size):
                found[column] += weight * (expected(frozenset({*known, column})) - expected(frozenset(known)))
    return found.T


def answer_of(ensemble: TreeEnsemble) -> Callable[[Any], Any]:
    """The outputs (rows, outputs) of an ensemble by its leaves."""

    def answer(rows: Any) -> Any:
        found = np.tile(ensemble.base_values, (len(rows), 1))
        for leaf in ensemble.leaves:
            is_reached = np.ones(len(rows), dtype=bool)
            for column, condition in leaf.conditions.items():
                value = rows[:, column]
                is_met = (np.float32(condition.low) < value) & (value <= np.float32(condition.high))
                is_reached &= np.where(np.isnan(value), condition.missing, is_met)
            found[is_reached] += leaf.values
        return found

    return answer


@pytest.mark.parametrize("name", ["boosting_of_two_classes", "forest_of_three_classes"])
def test_trees_without_covers_are_explained_by_the_definition(name: str) -> None:
    rows = np.array(SHAP[name]["rows"], dtype=np.float32)
    ensemble = parse_ensemble(read_node(name), needs_covers=False)
    method = InterventionalShap(ensemble, rows[4:])

    found = method.shap_values(rows[:2])

    answer = answer_of(ensemble)
    assert method.base == pytest.approx(answer(rows[4:]).mean(axis=0))
    for row, contributions in zip(rows[:2], found, strict=True):
        assert contributions == pytest.approx(shapley_values(answer, row, rows[4:]), abs=1e-9)
        assert method.base + contributions.sum(axis=1) == pytest.approx(answer(row[None])[0])


def test_trees_that_are_too_large_for_the_background_are_named() -> None:
    leaf = parse_ensemble(read_node("one_tree"), needs_covers=False).leaves[0]
    many = TreeEnsemble([Leaf(leaf.conditions, leaf.values, 1.0)] * 3_000, np.zeros(len(leaf.values)), b"NONE")

    with pytest.raises(NotExplained, match="too many for"):
        InterventionalShap(many, np.zeros((MAX_COMPARED // 3_000, 5)))


def product(rows: Any) -> Any:
    """Two outputs of numbers with interactions."""
    pairs = rows[:, 0] * rows[:, 1] * rows[:, 2] + np.sin(rows[:, 2]) + rows[:, 3:].sum(axis=1) ** 2
    return np.stack([pairs, np.maximum(rows[:, 0], rows[:, -1])], axis=1)


def explain_product(columns: int) -> tuple[Any, Any, Any]:
    random = np.random.default_rng(0)
    background, row = random.normal(size=(20, columns)), random.normal(size=columns)

    def values_of_sets(sets: Any) -> Any:
        return np.stack([product(np.where(known, row, background)).mean(axis=0) for known in sets])

    base, answer = product(background).mean(axis=0), product(row[None])[0]
    return kernel_shap(values_of_sets, columns, base, answer), row, background


@pytest.mark.parametrize("columns", [4, 6])
def test_a_function_of_few_columns_is_explained_by_the_definition(columns: int) -> None:
    found, row, background = explain_product(columns)

    assert found == pytest.approx(shapley_values(product, row, background), abs=1e-9)


@pytest.mark.integration  # the definition takes seconds
def test_a_function_of_many_columns_is_explained_nearly_by_the_definition() -> None:
    found, row, background = explain_product(12)

    wanted = shapley_values(product, row, background)
    assert found.sum(axis=1) == pytest.approx(wanted.sum(axis=1), abs=1e-9)
    assert np.abs(found - wanted).max() < 0.05 * np.abs(wanted).max()
    assert np.array_equal(found, explain_product(12)[0]), "the same row has the same contributions"


@pytest.mark.parametrize("columns", [0, 1])
def test_what_few_columns_explain_is_the_whole_difference(columns: int) -> None:
    found = kernel_shap(lambda sets: np.zeros((len(sets), 1)), columns, np.array([1.0]), np.array([3.0]))

    assert found.tolist() == [[2.0] * columns]

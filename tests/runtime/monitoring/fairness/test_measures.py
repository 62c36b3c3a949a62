"""What is compared between groups equals fairlearn's definitions, by scikit-learn's confusion matrix."""

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from flywheel_runtime.contract.errors import Undefined
from flywheel_runtime.monitoring.fairness.measures import RATES, FairnessTarget, GroupedRows, count_rates, find_scale
from flywheel_runtime.monitoring.fairness.quartiles import find_quartiles

CLASSES = ("no", "yes")


def rows_of_two_groups(random: np.random.Generator) -> GroupedRows:
    truth, predicted, groups = (random.integers(0, 2, 1_000) for _ in range(3))
    return GroupedRows(0, "v1", 1_000, predicted, truth, {"sex": (["f", "m"], groups)})


@pytest.mark.parametrize("measure", [each for each in RATES if each != "mae_difference"])
def test_rates_are_those_of_the_confusion_matrix(measure: str) -> None:
    rows = rows_of_two_groups(np.random.default_rng(1))
    target = FairnessTarget(measure, 0.1)
    found = count_rates(target, find_scale(target, CLASSES, None), rows, "sex")

    for number in (0, 1):
        chosen = rows.groups["sex"][1] == number
        assert rows.y_true is not None
        (tn, fp), (fn, tp) = confusion_matrix(rows.y_true[chosen], rows.predicted[chosen])
        expected = {
            "selection rate": (tp + fp) / chosen.sum(),
            "true positive rate": tp / (tp + fn),
            "false positive rate": fp / (fp + tn),
            "accuracy": (tp + tn) / chosen.sum(),
        }
        assert {rate: counts.means[number] for rate, (counts, _) in found.items()} == pytest.approx(
            {rate: expected[rate] for rate in RATES[measure]}
        )


def test_errors_of_values_are_in_the_unit_of_the_target() -> None:
    truth = np.zeros(1_000)
    predicted = np.where(np.arange(1_000) % 2, 3.0, 1.0)
    predicted[0] = 1e9
    rows = GroupedRows(0, "v1", 1_000, predicted, truth, {"g": (["a", "b"], np.arange(1_000) % 2)})
    target = FairnessTarget("mae_difference", 1.0)
    [(counts, unit)] = count_rates(target, find_scale(target, (), 2.0), rows, "g").values()

    assert unit == 20.0
    assert (counts.means * unit).tolist() == pytest.approx([1 + 19 / 500, 3], abs=20 / 256)


@pytest.mark.parametrize(
    ("target", "classes", "mae", "words"),
    [
        pytest.param(FairnessTarget("mae_difference", 1), CLASSES, 1.0, "choose accuracy_difference", id="errors of classes"),
        pytest.param(FairnessTarget("mae_difference", 1), (), None, "no mae on test rows", id="no scale"),
        pytest.param(FairnessTarget("accuracy_difference", 0.1), (), None, "choose mae_difference", id="classes of values"),
        pytest.param(FairnessTarget("demographic_parity_difference", 0.1), ("a", "b", "c"), None, "set spec.fairness.positive", id="three classes"),
        pytest.param(FairnessTarget("demographic_parity_difference", 0.1, "maybe"), CLASSES, None, "no class of the version", id="another class"),
    ],
)  # fmt: skip
def test_a_measure_that_a_version_does_not_have_is_said(
    target: FairnessTarget, classes: tuple[str, ...], mae: float | None, words: str
) -> None:
    with pytest.raises(Undefined, match=words):
        find_scale(target, classes, mae)


def test_the_positive_class_may_be_named() -> None:
    assert find_scale(FairnessTarget("demographic_parity_difference", 0.1, "no"), CLASSES, None).positive == 0
    assert find_scale(FairnessTarget("equalized_odds_difference", 0.1, "c"), ("a", "b", "c"), None).positive == 2


@pytest.mark.parametrize(
    ("feature", "edges"),
    [
        pytest.param({"edges": [0, 1, 2, 3, 4, 5, 6, 7, 8], "counts": {"bins": [10] * 8}}, (2, 4, 6), id="quartiles"),
        pytest.param({"edges": [0, 1, 2, 3, 4], "counts": {"bins": [90, 4, 3, 3]}}, (1,), id="most rows in one bin"),
        pytest.param({"edges": [0, 1], "counts": {"bins": [100]}}, (), id="few values"),
        pytest.param({"categories": ["a"], "counts": {"counts": [3], "other": 0}}, (), id="texts"),
        pytest.param({"edges": [0, 1, 2, 3, 4], "counts": {"bins": [0] * 4}}, (), id="no rows"),
        pytest.param({}, (), id="nothing"),
    ],
)
def test_numbers_are_grouped_by_the_quartiles_of_the_training(
    feature: dict[str, Any], edges: tuple[float, ...]
) -> None:
    assert find_quartiles({"features": {"age": feature}}, "age") == edges
    assert find_quartiles({"features": {"age": feature}}, "sex") == ()

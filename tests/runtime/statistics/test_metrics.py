"""Metrics by weights are scikit-learn's, with its `sample_weight`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics as m

from flywheel_runtime.statistics import scoring
from flywheel_runtime.statistics.metric_names import CLASSIFICATION, REGRESSION
from flywheel_runtime.statistics.metrics import Answers, measure, value
from tests.examples import examples

Array = NDArray[Any]


def answered(seed: int, rows: int = 300, classes: int = 2) -> tuple[Array, Answers]:
    """Truth, and answers that know something of it; scores are rounded, so that some are equal."""
    chance = np.random.default_rng(seed)
    truth = np.append(np.arange(classes), chance.integers(0, classes, rows - classes))
    score = chance.random((rows, classes)) + 0.7 * (truth[:, None] == np.arange(classes))
    probabilities = np.round(score / score.sum(axis=1, keepdims=True), 2)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return truth, Answers(probabilities.argmax(axis=1), probabilities)


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("metric", CLASSIFICATION)
def test_each_row_counted_once_is_the_metric_of_a_trial(metric: str, classes: int) -> None:
    truth, answers = answered(3, classes=classes)
    known = scoring.score([metric], "Classification", truth, answers.label, answers.probabilities)

    assert value(metric, truth, answers) == pytest.approx(known[metric], abs=1e-12)


@pytest.mark.parametrize("metric", REGRESSION)
def test_so_are_those_of_values(metric: str) -> None:
    chance = np.random.default_rng(5)
    truth = chance.normal(3, 1, 200)
    found = truth + chance.normal(0, 0.5, 200)
    known = scoring.score([metric], "Regression", truth, found, np.empty((200, 0)))

    assert value(metric, truth, Answers(found, np.empty((200, 0)))) == pytest.approx(known[metric], abs=1e-12)


@pytest.mark.parametrize("metric", CLASSIFICATION)
@given(seed=st.integers(0, 10_000))
@settings(max_examples=examples(25), deadline=None)
def test_a_row_that_is_drawn_twice_counts_as_two_rows(metric: str, seed: int) -> None:
    truth, answers = answered(seed, rows=60, classes=3)
    weights = np.random.default_rng(seed).integers(0, 4, len(truth))
    weights[:3] = 1  # each class stays
    drawn = np.repeat(np.arange(len(truth)), weights)

    weighted = measure(metric, truth, answers)(weights[None, :].astype(float))[0]

    assert weighted == pytest.approx(value(metric, truth[drawn], answers.of(drawn)), abs=1e-12)


def test_weights_are_those_of_scikit_learn() -> None:
    truth, answers = answered(9)
    weights = np.random.default_rng(9).integers(0, 5, len(truth)).astype(float)
    score = answers.probabilities[:, 1]

    assert measure("roc_auc", truth, answers)(weights[None])[0] == pytest.approx(
        m.roc_auc_score(truth, score, sample_weight=weights)
    )
    assert measure("average_precision", truth, answers)(weights[None])[0] == pytest.approx(
        m.average_precision_score(truth, score, sample_weight=weights)
    )
    assert measure("log_loss", truth, answers)(weights[None])[0] == pytest.approx(
        m.log_loss(truth, answers.probabilities, sample_weight=weights)
    )


def test_where_only_one_class_occurs_an_area_has_no_value() -> None:
    _, answers = answered(1, rows=10)

    assert np.isnan(value("roc_auc", np.ones(10, dtype=int), answers))
    assert np.isnan(value("roc_auc", np.empty(0, dtype=int), answers.of(np.empty(0, dtype=int))))


def test_a_class_that_the_data_does_not_have_is_a_wrong_answer() -> None:
    truth, answers = answered(2, rows=10)
    unknown = Answers(np.full(10, -1), answers.probabilities)

    assert value("accuracy", truth, unknown) == 0
    assert value("f1_macro", truth, unknown) == 0

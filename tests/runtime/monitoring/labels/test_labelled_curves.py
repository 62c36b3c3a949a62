"""Curves of labelled rows are scikit-learn's, and the metric of a group is that of its rows in all windows."""

from typing import Any

import numpy as np
import pytest
from sklearn import metrics

from flywheel_runtime.monitoring.labels import labelled_curves
from flywheel_runtime.monitoring.labels.join import LabelCounts, LabelledRows
from flywheel_runtime.monitoring.labels.label_sample import NOT_DRAWN, LabelSample
from flywheel_runtime.monitoring.labels.labelled_curves import (
    MAX_POINTS,
    describe_curves,
    describe_slices,
    precision_recall_curve,
    read_test_roc,
    roc_curve,
)
from flywheel_runtime.statistics.metrics import ScoredRows


def window(
    number: int, rows: int = 400, names: tuple[str, ...] = ("f", "m"), sample: LabelSample = NOT_DRAWN
) -> LabelledRows:
    random = np.random.default_rng(number)
    score = np.round(random.random(rows), 2)
    truth = (random.random(rows) < score).astype(int)
    scored = ScoredRows(truth, (score >= 0.5).astype(int), np.stack([1 - score, score], axis=1))
    groups = {"sex": ([*names, "(other)"], np.arange(rows) % len(names))}
    return LabelledRows(number, "v1", LabelCounts(rows, rows), scored, groups, sample)


def test_the_curves_are_those_of_scikit_learn() -> None:
    scored = window(1).scored
    score = scored.probabilities[:, 1]

    false_rate, true_rate, area = roc_curve(scored.y_true, score)
    expected = metrics.roc_curve(scored.y_true, score, drop_intermediate=False)
    assert (false_rate.tolist(), true_rate.tolist()) == (expected[0].tolist(), expected[1].tolist())
    assert area == pytest.approx(metrics.roc_auc_score(scored.y_true, score))

    recall, precision, average = precision_recall_curve(scored.y_true, score)
    of_sklearn = metrics.precision_recall_curve(scored.y_true, score)
    assert precision[::-1] == pytest.approx(of_sklearn[0][:-1])
    assert recall[::-1] == pytest.approx(of_sklearn[1][:-1])
    assert average == pytest.approx(metrics.average_precision_score(scored.y_true, score))


def test_all_windows_of_a_version_count_together() -> None:
    [found] = describe_curves([window(1), window(2)])

    assert (found["version"], found["rows"]) == ("v1", 800)
    assert found["calibrationError"] < 0.1
    assert sum(found["reliability"]["rows"]) == 800
    assert len(found["roc"]["fpr"]) <= MAX_POINTS
    assert found["roc"]["fpr"][0] == 0
    assert found["roc"]["tpr"][-1] == 1


def test_of_many_rows_some_are_drawn_the_same_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labelled_curves, "MAX_ROWS", 300)

    [found] = describe_curves([window(1), window(2)])

    assert found["rows"] == pytest.approx(300, abs=50)
    assert describe_curves([window(1), window(2)]) == [found]
    slices = describe_slices([window(1), window(2)], "accuracy", ["sex"], 100)
    assert sum(each["rows"] for each in slices) == found["rows"]


def test_rows_that_were_drawn_are_in_no_curve() -> None:
    drawn = LabelSample(np.full(400, 0.5), np.arange(400) < 100)

    [found] = describe_curves([window(1, sample=drawn), window(2)])

    assert found["rows"] == 500
    assert describe_curves([window(1, sample=LabelSample(np.full(400, 0.5), np.zeros(400, bool)))]) == []


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("accuracy", lambda rows: metrics.accuracy_score(rows.y_true, rows.predicted)),
        ("roc_auc", lambda rows: metrics.roc_auc_score(rows.y_true, rows.probabilities[:, 1])),
        ("brier", lambda rows: metrics.brier_score_loss(rows.y_true, rows.probabilities[:, 1])),
    ],
)
def test_a_slice_is_the_metric_of_its_rows(metric: str, expected: Any) -> None:
    windows = [window(1), window(2, names=("m", "f"))]
    female = [np.flatnonzero(each.groups["sex"][1] == place) for each, place in zip(windows, (0, 1), strict=True)]
    parts = [each.scored.take(rows) for each, rows in zip(windows, female, strict=True)]
    pooled = ScoredRows(
        *(np.concatenate([getattr(each, name) for each in parts]) for name in ("y_true", "predicted", "probabilities"))
    )

    found = describe_slices(windows, metric, ["sex"], 100)

    assert [(each["group"], each["rows"]) for each in found] == [("f", 400), ("m", 400)]
    assert found[0]["value"] == pytest.approx(expected(pooled), abs=1e-5)
    assert found[0]["low"] < found[0]["value"] < found[0]["high"]


def test_few_rows_have_no_metric_and_values_no_curve() -> None:
    assert "value" not in describe_slices([window(1, rows=100)], "accuracy", ["sex"], 100)[0]
    values = ScoredRows(np.arange(100.0), np.arange(100.0) + 1, np.empty((100, 0)))
    assert describe_curves([LabelledRows(0, "v1", LabelCounts(100, 100), values, {})]) == []
    [found] = describe_slices(
        [LabelledRows(0, "v1", LabelCounts(100, 100), values, {"g": (["a"], np.zeros(100, int))})], "rmse", ["g"], 50
    )
    assert found["value"] == 1.0


def test_of_several_classes_the_most_probable_one_is_calibrated() -> None:
    random = np.random.default_rng(3)
    probabilities = random.dirichlet([1, 1, 1], 600)
    truth = np.array([random.choice(3, p=each) for each in probabilities])
    scored = ScoredRows(truth, probabilities.argmax(axis=1), probabilities)

    [found] = describe_curves([LabelledRows(0, "v1", LabelCounts(600, 600), scored, {})])

    assert found["calibrationError"] < 0.08
    assert "roc" not in found


@pytest.mark.parametrize(
    ("evaluation", "expected"),
    [
        ({"roc": {"fpr": [0, 1], "tpr": [0, 1], "area": 0.5}}, {"fpr": [0.0, 1.0], "tpr": [0.0, 1.0]}),
        ({"roc": {"area": 0.5}}, None),
        ({"roc": [0.5]}, None),
        ({"roc": {"fpr": [0, 1], "tpr": [0]}}, None),
        ({"roc": {"fpr": [0, "high"], "tpr": [0, 1]}}, None),
        ({"roc": {"fpr": [0, float("nan")], "tpr": [0, 1]}}, None),
        ({}, None),
    ],
    ids=["training's", "area alone", "a list", "other lengths", "text", "NaN", "none"],
)
def test_the_curve_on_test_rows_is_one_that_can_be_drawn(evaluation: dict[str, Any], expected: Any) -> None:
    assert read_test_roc(evaluation) == expected

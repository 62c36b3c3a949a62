"""Scores of `make bench-preset`: one function for all, by the labels that each gave, and ratios that say who is better."""

import numpy as np
import pytest

from e2e.bench.automl.scores import OURS, Predictions, Result, format_results, parse_scores, ratio, score

SURE = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])


def test_the_score_does_not_depend_on_the_order_of_the_classes() -> None:
    truth = ["no", "yes", "no"]

    assert score(truth, Predictions(SURE, ("no", "yes"))) == 1
    assert score(truth, Predictions(SURE[:, ::-1], ("yes", "no"))) == 1
    assert score(truth, Predictions(SURE, ("yes", "no"))) == 0


def test_classes_are_compared_by_the_text_of_their_labels() -> None:
    assert score(np.array([0, 1, 0]).tolist(), Predictions(SURE, ("0", "1"))) == 1


def test_a_class_that_a_model_has_not_seen_has_probability_zero() -> None:
    truth = ["a", "b", "c", "a"]
    predictions = Predictions(np.vstack([SURE, [1, 0]]), ("a", "b"))

    # a: the rows 1 and 4 before b and c, except for row 3 (0.6 < 0.9); b: 1 of 1; c: all are equal.
    assert score(truth, predictions) == pytest.approx((1 + 1 + 0.5) / 3)


def test_values_are_scored_by_their_root_mean_squared_error() -> None:
    assert score([1.0, 2.0], Predictions(np.array([1.0, 4.0]))) == pytest.approx(2**0.5)


@pytest.mark.parametrize("values", [[1.0], [1.0, float("nan")]], ids=["too few", "not finite"])
def test_predictions_that_cannot_be_scored_are_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="2 rows need as many finite predictions"):
        score([1.0, 2.0], Predictions(np.array(values)))


@pytest.mark.parametrize(("metric", "wanted"), [("roc_auc", 1.2), ("rmse", 1 / 1.5)])
def test_the_ratio_is_to_the_better_peer_and_above_one_where_ours_is_better(metric: str, wanted: float) -> None:
    results = {OURS: Result(0.6, 1), "worse or better": Result(0.4, 1), "other": Result(0.5, 1)}

    assert ratio(results, metric) == pytest.approx(wanted)


def test_a_table_of_results_has_a_line_for_each_table() -> None:
    results = {OURS: Result(0.61234, 119.6, "boosting"), "FLAML": Result(0.5, 120.2, "forest")}

    lines = format_results({"wine": results}, {"wine": "roc_auc"}).splitlines()

    assert lines[0] == "| table | metric | Flywheel | FLAML | ratio to the better peer | seconds | best models |"
    assert lines[2] == "| wine | roc_auc | 0.6123 | 0.5 | 1.2247 | 120 / 120 | boosting / forest |"


def test_the_scores_of_an_earlier_run_are_read_from_its_figures() -> None:
    figures = {"Flywheel_score": 0.9, "Flywheel_seconds": 100.0, "AutoGluon_score": 0.8, "AutoGluon_seconds": 90.0}

    assert parse_scores(figures) == {"Flywheel": Result(0.9, 100.0), "AutoGluon": Result(0.8, 90.0)}

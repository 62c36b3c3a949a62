"""What an Experiment says of over- and underfitting."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.kinds.experiment.situations import Search, experiment


@pytest.mark.parametrize(
    ("metrics", "finding", "says"),
    [
        pytest.param({"roc_auc": 0.8, "train_roc_auc": 0.9, "baseline_roc_auc": 0.5}, None, None, id="all is well"),
        pytest.param(
            {"roc_auc": 0.6, "train_roc_auc": 1.0, "baseline_roc_auc": 0.5},
            "Overfitting",
            "It overfits: it has 1.000 on its train rows, and a constant prediction has 0.500.",
            id="most of the gain is lost",
        ),
        pytest.param(
            {"roc_auc": 0.52, "train_roc_auc": 0.53, "baseline_roc_auc": 0.5},
            "Underfitting",
            "It underfits: it has only 0.530 on its train rows",
            id="little is learned at all",
        ),
        pytest.param(
            {"roc_auc": 0.5, "train_roc_auc": 0.9, "baseline_roc_auc": 0.5},
            "NoBetterThanConstant",
            "It is no better than a constant: a constant prediction has 0.500.",
            id="nothing holds",
        ),
        pytest.param(
            {"roc_auc": 0.75, "train_roc_auc": 1.0, "baseline_roc_auc": 0.5},
            None,
            None,
            id="just half of the gain is lost",
        ),
        pytest.param({"roc_auc": 0.6}, None, None, id="a trainer that reports neither"),
    ],
)
def test_the_fit_of_the_best_trial(metrics: Mapping[str, float], finding: str | None, says: str | None) -> None:
    def ends(trial: int, attempt: int, point: list[float]) -> Mapping[str, Any]:
        return {"metrics": metrics}

    search = Search(experiment({"budget": {"maxTrials": 2}}), ends)

    plan = search.finish()

    fit = search.status.fit
    assert (fit.finding if fit else None) == finding
    assert (fit is None) == ("baseline_roc_auc" not in metrics)
    assert "constant" not in plan.message if says is None else says in plan.message


def test_of_a_loss_less_is_better() -> None:
    metrics = {"rmse": 9.0, "train_rmse": 2.0, "baseline_rmse": 10.0}
    search = Search(
        experiment({"objective": {"metric": "rmse"}, "budget": {"maxTrials": 2}}),
        lambda trial, attempt, point: {"metrics": metrics},
    )

    search.finish()

    fit = search.status.fit
    assert fit is not None
    assert (fit.gap, fit.finding) == ("7", "Overfitting")

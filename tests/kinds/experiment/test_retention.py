"""Which trials leave their models, and that the best one always does."""

import pytest

from flywheel.kinds.experiment.schema.status import TrialRecord
from flywheel.kinds.experiment.search.defaults import Setup
from flywheel.kinds.experiment.trials import Trials
from tests.kinds.experiment.situations import Search, experiment

SETUP = Setup(None, "roc_auc", "Maximize", (), ())


def record(trial: int, value: str | None, state: str = "Succeeded", over: str | None = None) -> TrialRecord:
    return TrialRecord.model_validate({"trial": trial, "state": state, "value": value, "over": over, "point": "[0]"})


def trials(*records: TrialRecord) -> Trials:
    return Trials({each.trial: each for each in records}, attempts={}, best=None, last=())


def test_it_is_the_worst_of_the_best_that_may_be_chosen() -> None:
    found = trials(
        record(1, "0.7"),
        record(2, "0.9", over="0.1"),
        record(3, "0.8"),
        record(4, "0.99", "Pruned"),
        record(5, "0.6"),
    )

    assert found.upload_threshold(2, SETUP) == {"metric": "roc_auc", "maximize": True, "reach": 0.7}


def test_until_there_are_so_many_all_are_kept() -> None:
    assert trials(record(1, "0.7")).upload_threshold(2, SETUP) is None
    assert trials(record(1, "0.7")).upload_threshold(None, SETUP) is None


@pytest.mark.parametrize("keep", [1, 2])
@pytest.mark.parametrize("order", [0, -1], ids=["oldest first", "newest first"])
def test_the_best_trials_model_is_always_kept(keep: int, order: int) -> None:
    values = [0.5, 0.7, 0.6, 0.7, 0.65, 0.9, 0.8, 0.9, 0.2, 0.3, 0.1, 0.4]
    search = Search(
        experiment({"keepArtifacts": keep, "parallelism": 3, "budget": {"maxTrials": 12}}),
        lambda trial, _attempt, _point: {"metrics": {"roc_auc": values[trial - 1]}},
    )

    search.finish(choose=lambda jobs: jobs[order])
    status = search.status

    assert status.best is not None
    assert (status.best.trial, status.best.value) == (6, "0.9")
    assert status.best.model is not None
    assert any(each.model is None for each in status.last_trials)

"""The rules against Optuna's own pruners, on studies rebuilt from the same curves."""

import math
import warnings
from collections.abc import Mapping
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel_runtime.commands.collect.prune.rules import Patient, Percentile, Rule, percentile
from tests.examples import examples

optuna.logging.set_verbosity(optuna.logging.ERROR)
STATES = optuna.trial.TrialState

values = st.one_of(st.integers(-40, 40).map(lambda number: number / 8), st.just(math.nan))
curves = st.dictionaries(st.integers(0, 12), values, max_size=10)


def frozen(curve: Mapping[int, float], *, running: bool = False) -> Any:
    state = STATES.RUNNING if running else STATES.COMPLETE
    return optuna.trial.create_trial(
        state=state, value=None if running else 0.0, params={}, distributions={}, intermediate_values=dict(curve)
    )


def agree(rule: Rule, pruner: Any, curve: dict[int, float], siblings: list[dict[int, float]], maximize: bool) -> None:
    study = optuna.create_study(direction="maximize" if maximize else "minimize")
    study.add_trials([frozen(sibling) for sibling in siblings])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy's, about slices that are all NaN
        theirs = pruner.prune(study, frozen(curve, running=True))

    assert (rule.prune(curve, siblings, maximize=maximize) is not None) == bool(theirs)


@settings(max_examples=examples(200, ci=30), deadline=None)
@given(
    curve=curves,
    siblings=st.lists(curves, max_size=7),
    maximize=st.booleans(),
    startup=st.integers(1, 4),
    warmup=st.integers(0, 6),
)
def test_the_median_is_optunas(
    curve: dict[int, float], siblings: list[dict[int, float]], maximize: bool, startup: int, warmup: int
) -> None:
    pruner = optuna.pruners.MedianPruner(n_startup_trials=startup, n_warmup_steps=warmup)
    agree(Percentile(50, startup, warmup), pruner, curve, siblings, maximize)


@settings(max_examples=examples(200, ci=30), deadline=None)
@given(curve=curves, siblings=st.lists(curves, max_size=7), maximize=st.booleans(), percent=st.integers(1, 99))
def test_any_percentile_is_optunas(
    curve: dict[int, float], siblings: list[dict[int, float]], maximize: bool, percent: int
) -> None:
    pruner = optuna.pruners.PercentilePruner(float(percent), n_startup_trials=1, n_warmup_steps=0)
    agree(Percentile(percent, 1, 0), pruner, curve, siblings, maximize)


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@settings(max_examples=examples(200, ci=30), deadline=None)
@given(curve=curves, maximize=st.booleans(), patience=st.integers(0, 5), delta=st.integers(0, 16))
def test_patience_is_optunas(curve: dict[int, float], maximize: bool, patience: int, delta: int) -> None:
    pruner = optuna.pruners.PatientPruner(None, patience=patience, min_delta=delta / 8)
    agree(Patient(patience, delta / 8), pruner, curve, [], maximize)


@pytest.mark.parametrize(
    ("of", "percent", "expected"),
    [
        pytest.param([1, 2, 3], 50, 2, id="the middle one"),
        pytest.param([1, 2], 25, 1.25, id="between two"),
        pytest.param([math.nan, 4], 99, 4, id="what is not finite does not count"),
    ],
)
def test_percentile(of: list[float], percent: float, expected: float) -> None:
    assert percentile(of, percent) == expected


def test_the_reason_tells_the_numbers() -> None:
    siblings = [{3: 0.7}, {3: 0.8}, {3: 0.9}]

    why = Percentile(50, startup_trials=3).prune({1: 0.5, 3: 0.6}, siblings, maximize=True)

    assert why == "was 0.6 at best, and the median of 3 trials is 0.8"

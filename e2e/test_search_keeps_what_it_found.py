"""An estimator that fails each time stops alone, and the best of the others is registered; a model of pure noise does not become champion."""

import random
from typing import Any

import pytest

from e2e.namespace import Namespace

ROWS = 600
MANIFESTS = """
apiVersion: flywheel.ml/v1alpha1
kind: Dataset
metadata: {name: houses}
spec:
  source: {s3: {uri: "%s"}}
  target: price
  keys: [id]
---
apiVersion: flywheel.ml/v1alpha1
kind: Experiment
metadata: {name: houses}
spec:
  dataset: houses
  trainer:
    sklearn:
      estimators:
      - name: HistGradientBoostingRegressor
        parameters: {max_iter: 30}
        search: {learning_rate: {float: {min: "0.05", max: "0.3"}}}
      # scikit-learn refuses a penalty below 0.
      - name: Ridge
        search: {alpha: {float: {min: "-9", max: "-1"}}}
  budget: {maxTrials: 5, maxFailedTrials: 2}
  parallelism: 1
  resources: {requests: {cpu: 100m, memory: 256Mi}}
  register: houses
---
apiVersion: flywheel.ml/v1alpha1
kind: Dataset
metadata: {name: coins}
spec:
  source: {s3: {uri: "%s"}}
  target: heads
  keys: [id]
---
apiVersion: flywheel.ml/v1alpha1
kind: Experiment
metadata: {name: coins}
spec:
  dataset: coins
  trainer: {sklearn: {estimators: [{name: RandomForestClassifier, parameters: {n_estimators: 20}}]}}
  resources: {requests: {cpu: 100m, memory: 256Mi}}
  register: coins
"""


def houses() -> str:
    """Prices that follow from the area."""
    draw = random.Random(1)
    rows = [(number, draw.uniform(40, 200), draw.choice("abc")) for number in range(ROWS)]
    lines = (f"{number},{area:.1f},{kind},{area * 3000 + draw.gauss(0, 20000):.0f}" for number, area, kind in rows)
    return "\n".join(("id,area,kind,price", *lines)) + "\n"


def coins() -> str:
    """Throws that follow from nothing."""
    draw = random.Random(2)
    lines = (f"{number},{draw.random():.4f},{draw.random():.4f},{draw.choice('01')}" for number in range(ROWS))
    return "\n".join(("id,force,height,heads", *lines)) + "\n"


@pytest.fixture(scope="module")
def searched(namespace: Namespace) -> Namespace:
    namespace.apply(MANIFESTS % (namespace.upload("houses.csv", houses()), namespace.upload("coins.csv", coins())))
    return namespace


def status(namespace: Namespace, kind: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = (namespace.get(kind, name) or {})["status"]
    return found


def test_the_budget_is_spent_and_the_best_is_registered(searched: Namespace) -> None:
    condition = searched.wait("fwexp", "houses", seconds=240)
    found = status(searched, "fwexp", "houses")

    assert condition["reason"] == "BudgetSpent"
    assert "Ridge is no longer tried, since 2 of its 2 trials failed (trial" in condition["message"]
    assert "ParameterRefused: Ridge refused its parameters" in condition["message"]
    assert (found["trials"]["succeeded"], found["trials"]["failed"]) == (3, 2)
    first = next(each for each in found["history"] if each["trial"] == 1)
    assert first["point"] == "[0,0.1]"  # scikit-learn's default
    assert float(found["fit"]["baseline"]) > float(found["best"]["value"])
    searched.wait("fwmodel", "houses")
    assert status(searched, "fwmodel", "houses")["champion"] == found["modelVersion"]
    [entry] = status(searched, "fwver", found["modelVersion"])["gates"]["entries"]
    assert (entry["name"], entry["passed"]) == ("beats-a-constant", True)


def test_a_model_of_noise_is_refused_with_the_sentence_why(searched: Namespace) -> None:
    searched.wait("fwexp", "coins", seconds=240)
    condition = searched.wait("fwmodel", "coins", ready="False", reason="GateFailed")

    assert "gate 'beats-a-constant': the model is no better than a constant: roc_auc 0." in condition["message"]
    assert "against 0.5 of the prior of the train rows, on " in condition["message"]
    assert "champion" not in status(searched, "fwmodel", "coins")
    assert status(searched, "fwexp", "coins")["fit"]["finding"] in ("NoBetterThanConstant", "Overfitting")


def test_a_user_may_set_the_gate_off(searched: Namespace) -> None:
    searched.kubectl("patch", "fwmodel", "coins", "--type=merge", "-p", '{"spec":{"defaultGates":"Disabled"}}')

    searched.wait("fwmodel", "coins")

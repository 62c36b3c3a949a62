"""Boosted trees send numbers that lie next to each other the same way in ONNX as in scikit-learn."""

import random
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.integration  # trains models


@pytest.mark.parametrize("target", ["late", "grade", "delay"])
def test_numbers_next_to_each_other_go_their_own_way_in_onnx(run_train: Any, checked: Any, target: str) -> None:
    """The smallest steps that 32 bits know: a threshold between two of them is none of them."""
    chance, number, lines = random.Random(5), np.float32(0.7), ["id,x,late,grade,delay"]
    for i in range(600):
        number = np.nextafter(number, np.float32(1)) if i % 6 == 0 else number
        odd = int(i // 6 % 2 == 0) if chance.random() < 0.9 else 1
        lines.append(f"{i},{float(number)!r},{odd},{['low', 'mid', 'high'][i // 6 % 3]},{odd + i // 6 % 5}.5")
    name = "HistGradientBoostingRegressor" if target == "delay" else "HistGradientBoostingClassifier"
    metric = {"late": "roc_auc", "grade": "f1_macro", "delay": "rmse"}[target]
    data = checked({"a.csv": "\n".join(lines) + "\n"}, target=target, keys=["id"])

    result = run_train(
        data,
        estimator=name,
        parameters={"min_samples_leaf": 1, "max_leaf_nodes": 127},
        features={"numeric": ["x"], "categorical": []},
        objective={"metric": metric},
    )

    assert result.code == 0, result.failure

"""Bad Models are refused by the API server with a sentence of ours."""

from collections.abc import Callable
from subprocess import CompletedProcess
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.apiserver

GATE = {"name": "good-enough", "threshold": {"metric": "roc_auc", "min": "0.70"}}


def manifest(spec: dict[str, Any]) -> str:
    return yaml.safe_dump(
        {"apiVersion": "flywheel.ml/v1alpha1", "kind": "Model", "metadata": {"name": "fraud"}, "spec": spec}
    )


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        pytest.param(
            {"objective": {"metric": "happiness"}},
            "direction is only known for common metrics",
            id="a direction nobody knows",
        ),
        pytest.param(
            {"gates": [{"name": "g", "threshold": {"metric": "f1"}}]},
            "give min, max or both",
            id="a threshold without bounds",
        ),
        pytest.param(
            {"gates": [{"name": "g", "threshold": {"metric": "f1", "min": "2", "max": "1"}}]},
            "min must not be greater than max",
            id="bounds the wrong way round",
        ),
        pytest.param(
            {"gates": [{"name": "g", "threshold": {"metric": "f1", "min": "high"}}]},
            "spec.gates[0].threshold.min",
            id="a bound that is no number",
        ),
        pytest.param({"gates": [GATE, GATE]}, "Duplicate value", id="a gate twice"),
        pytest.param({"promotion": "Approval"}, 'unknown field "spec.promotion"', id="a field of a later version"),
    ],
)
def test_a_bad_model_is_refused(
    installed: Callable[..., CompletedProcess[str]], spec: dict[str, Any], sentence: str
) -> None:
    answer = installed("create", "--dry-run=server", "-f", "-", stdin=manifest(spec))

    assert answer.returncode != 0
    assert sentence in answer.stderr


def test_a_model_needs_no_spec_at_all_but_the_word(installed: Callable[..., CompletedProcess[str]]) -> None:
    answer = installed("create", "--dry-run=server", "-f", "-", stdin=manifest({}))

    assert answer.returncode == 0, answer.stderr

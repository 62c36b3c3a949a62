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
            "the direction is known only for common metrics",
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
        pytest.param(
            {"rollback": {"when": ["FeatureDrift"], "monitors": ["watch"]}},
            'Unsupported value: "FeatureDrift": supported values: "Errors", "NotFinite", "ConstantOutput", "LabelledLoss"',
            id="a rollback for drift of features",
        ),
        pytest.param(
            {"rollback": {"when": [], "monitors": ["watch"]}},
            "should have at least 1 items",
            id="a rollback for nothing",
        ),
        pytest.param(
            {"rollback": {"when": ["Errors"]}}, "spec.rollback.monitors: Required value", id="a rollback by any monitor"
        ),
        pytest.param({"gates": [GATE, GATE]}, "Duplicate value", id="a gate twice"),
        pytest.param({"promotion": "Vote"}, 'supported values: "Auto", "Approval"', id="a promotion nobody knows"),
        pytest.param(
            {"gates": [{"name": "g"}]},
            "give exactly one of threshold, champion, baseline, slice",
            id="a gate that asks nothing",
        ),
        pytest.param({"gates": [{**GATE, "signature": {}}]}, "give exactly one of threshold", id="a gate of two sorts"),
        pytest.param(
            {"gates": [{"name": "g", "champion": {"metric": "happiness"}}]},
            "spec.gates[0].champion.metric",
            id="a metric that is not computed from rows",
        ),
        pytest.param(
            {"gates": [{"name": "g", "champion": {"metric": "f1", "confidence": "5%"}}]},
            "confidence must be at least 50%",
            id="no confidence",
        ),
        pytest.param(
            {"gates": [{"name": "g", "slice": {"by": "sex", "metric": "f1"}}]},
            "give exactly one of min and max",
            id="a slice without a bound",
        ),
        pytest.param(
            {"gates": [{"name": "g", "fairness": {"by": "sex", "measure": "DemographicParity", "maxGap": "0.1"}}]},
            "must be a percentage below 100",
            id="a gap that is no percentage",
        ),
        pytest.param(
            {"gates": [{"name": "g", "baseline": {"minGain": "-0.1"}}]},
            "minGain cannot be negative; to let a version be worse than a constant, set spec.defaultGates: Disabled",
            id="worse than a constant",
        ),
        pytest.param({"gates": [{"name": "g", "baseline": {}}]}, "minGain", id="a baseline without a gain"),
        pytest.param({"defaultGates": "Off"}, "spec.defaultGates", id="default gates that are off"),
        pytest.param({"gates": [{"name": "g", "serving": {}}]}, "give p95, size or both", id="a server without limits"),
        pytest.param(
            {"gates": [{"name": "g", "serving": {"p95": "2s"}}]}, "such as 500us or 5ms", id="a latency in seconds"
        ),
        pytest.param(
            {"gates": [{"name": "g", "serving": {"size": "big"}}]}, "must be a quantity", id="a size that is none"
        ),
        pytest.param(
            {"gates": [{"name": "g", "data": {"ignore": ["Ugly"]}}]},
            "spec.gates[0].data.ignore",
            id="an anomaly nobody knows",
        ),
        pytest.param(
            {"gates": [{"name": "g", "replay": {"window": "31d", "maxFlips": "2%"}}]},
            "window must not be longer than 30d",
            id="a replay of more than a month",
        ),
        pytest.param(
            {"gates": [{"name": "g", "replay": {"window": "24h", "maxFlips": "0.02"}}]},
            "must be a percentage below 100",
            id="flips that are no percentage",
        ),
        pytest.param(
            {"gates": [{"name": "g", "replay": {"window": "a day", "maxFlips": "2%"}}]},
            "such as 30s, 10m, 6h or 3d",
            id="a window that is no duration",
        ),
        pytest.param(
            {
                "gates": [
                    {"name": "g", "labelled": {"metric": "f1", "minGain": "0", "window": "7d", "confidence": "5%"}}
                ]
            },
            "confidence must be at least 50%",
            id="a labelled gain without confidence",
        ),
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


def test_every_sort_of_gate_is_taken(installed: Callable[..., CompletedProcess[str]]) -> None:
    gates = [
        GATE,
        {"name": "better", "champion": {"metric": "roc_auc", "minGain": "0.002", "confidence": "95%"}},
        {"name": "slices", "slice": {"by": "origin", "metric": "roc_auc", "min": "0.65"}},
        {"name": "fair", "fairness": {"by": "sex", "measure": "EqualOpportunity", "maxGap": "10%"}},
        {"name": "honest", "calibration": {"maxError": "5%"}},
        {"name": "quick", "serving": {"p95": "20ms", "size": "50Mi"}},
        {"name": "fits", "signature": {}},
        {"name": "clean", "data": {}},
        {"name": "yesterday", "replay": {"window": "24h", "maxFlips": "2%", "by": "origin"}},
        {"name": "newest-labels", "labelled": {"metric": "roc_auc", "minGain": "0", "window": "7d"}},
    ]
    answer = installed(
        "create", "--dry-run=server", "-f", "-", stdin=manifest({"gates": gates, "promotion": "Approval"})
    )

    assert answer.returncode == 0, answer.stderr

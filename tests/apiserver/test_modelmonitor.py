"""Bad ModelMonitors are refused by the API server with a sentence of ours."""

from typing import Any

import pytest
import yaml

from tests.apiserver.manifests import Kubectl

pytestmark = pytest.mark.apiserver

GOOD: dict[str, Any] = {"inferenceService": "flight-delay"}
TESTED: dict[str, Any] = {"performance": {"metric": "roc_auc", "maxDrop": "0.05"}}
PARITY: dict[str, Any] = {"by": ["sex"], "measure": "demographic_parity_difference"}
ODDS: dict[str, Any] = {"by": ["sex", "region"], "measure": "equalized_odds_difference", "maxGap": "0.05"}
BATCH: dict[str, Any] = {"inferenceService": None, "batchInference": "tomorrow"}
DATASET = {"dataset": "arrivals", "key": "flight", "column": "late"}


def manifest(spec: dict[str, Any]) -> str:
    return yaml.safe_dump(
        {"apiVersion": "flywheel.ml/v1alpha1", "kind": "ModelMonitor", "metadata": {"name": "m"}, "spec": spec}
    )


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="a name is enough"),
        pytest.param({"window": "1m", "schedule": {"cron": "* * * * *"}}, id="the shortest window"),
        pytest.param({"window": "7d"}, id="the longest window"),
        pytest.param({"window": "90m"}, id="a window of whole minutes"),
        pytest.param({"window": "120s"}, id="seconds that are minutes"),
        pytest.param(
            {"falseAlarms": {"per": "30d"}, "featureDrift": {"psi": "0.25"}}, id="another budget and threshold"
        ),
        pytest.param({"predictionDrift": {"disabled": True}, "suspend": True}, id="switched off"),
        pytest.param({"estimatedPerformance": {"metric": "roc_auc"}}, id="an estimate without labels"),
        pytest.param({"estimatedPerformance": {"metric": "rmse", "maxDrop": "2.5"}}, id="an estimate of a regression"),
        pytest.param({"reference": {"seasonal": "HourOfWeek"}}, id="an hour of the week"),
        pytest.param({"reference": {"seasonal": "HourOfWeek"}, "window": "15m"}, id="quarters of an hour of the week"),
        pytest.param({"method": "Fixed"}, id="classical tests"),
        pytest.param({"groundTruth": {}, "performance": {"metric": "roc_auc"}}, id="labels that are posted"),
        pytest.param(
            {**TESTED, "groundTruth": {**DATASET, "delay": {"min": "6h", "max": "3d"}}}, id="labels of a Dataset"
        ),
        pytest.param({**TESTED, "groundTruth": {"delay": {"min": "3d", "max": "14d"}}}, id="labels after two weeks"),
        pytest.param({"fairness": PARITY}, id="fairness without labels"),
        pytest.param({"fairness": ODDS, "groundTruth": {}}, id="fairness with labels"),
        pytest.param(
            {"fairness": {**ODDS, "measure": "mae_difference", "maxGap": "12.5"}, "groundTruth": {}},
            id="fairness of values",
        ),
        pytest.param(
            {**TESTED, "fairness": {**PARITY, "positive": "late"}, "groundTruth": {}}, id="fairness beside performance"
        ),
        pytest.param({**TESTED, "groundTruth": {**DATASET, "probability": "probability"}}, id="labels of drawn rows"),
        pytest.param(
            {
                **TESTED,
                "groundTruth": {
                    "guards": {"trustedSources": ["system:serviceaccount:shop:claims"], "maxSourceShare": "20%"}
                },
            },
            id="guards of labels that are posted",
        ),
        pytest.param(
            {**TESTED, "groundTruth": {**DATASET, "guards": {"maxDeviations": 8}}}, id="outliers of a Dataset"
        ),
        pytest.param({"service": {"maxErrorShare": "0.001"}}, id="errors"),
        pytest.param({"service": {"latency": {"max": "2.5s"}}}, id="latencies at the default quantile"),
        pytest.param({**BATCH, "estimatedPerformance": {"metric": "roc_auc"}}, id="the outputs of a BatchInference"),
        pytest.param({"notify": {"secret": {"name": "chat", "key": "url"}}}, id="a webhook in a Secret"),
    ],
)
def test_a_good_one_is_taken(installed: Kubectl, changes: dict[str, Any]) -> None:
    answer = installed("create", "--dry-run=server", "-f", "-", stdin=manifest({**GOOD, **changes}))

    assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        pytest.param(
            {**TESTED, "groundTruth": {**DATASET, "guards": {"maxSourceShare": "20%"}}},
            "the rows of a Dataset have no source",
            id="a share of a Dataset's labels",
        ),
        pytest.param(
            {**TESTED, "groundTruth": {"guards": {"maxSourceShare": "0.2"}}}, "a percentage below 100", id="a share as a number"
        ),
        pytest.param({"window": "30s"}, "window must be from 1m to 7d", id="a window below a minute"),
        pytest.param({"window": "90s"}, "in whole minutes", id="half a minute"),
        pytest.param({"window": "8d"}, "window must be from 1m to 7d", id="a window above a week"),
        pytest.param({"window": "1 hour"}, "an integer followed by s, m, h or d", id="no duration"),
        pytest.param({"minRows": 0}, "spec.minRows", id="no rows"),
        pytest.param({"estimatedPerformance": {"metric": "f1"}}, "spec.estimatedPerformance.metric", id="not estimated"),
        pytest.param(
            {"estimatedPerformance": {"metric": "roc_auc", "maxDrop": "0"}}, "maxDrop must be above 0", id="no drop allowed"
        ),
        pytest.param(
            {"reference": {"seasonal": "HourOfWeek"}, "window": "90m"}, "whole number of windows", id="an hour and a half"
        ),
        pytest.param({"reference": {"seasonal": "Month"}}, "spec.reference.seasonal", id="another season"),
        pytest.param({"method": "Bayes"}, "spec.method", id="an unknown method"),
        pytest.param({"falseAlarms": {"count": 0}}, "spec.falseAlarms.count", id="no false alarm at all"),
        pytest.param({"falseAlarms": {"per": "1h"}}, "per must be at least one day", id="a budget by the hour"),
        pytest.param({"featureDrift": {"psi": "0"}}, "psi must be above 0 and at most 100", id="no threshold"),
        pytest.param({"featureDrift": {"psi": "much"}}, "a decimal number in quotes", id="no number"),
        pytest.param({"featureDrift": {"psi": 0.1}}, "spec.featureDrift.psi", id="a float"),
        pytest.param({"dataQuality": {"maxShare": "1.5"}}, "above 0 and below 1", id="a share of more than all"),
        pytest.param({"dataQuality": {"disabled": True}}, 'unknown field "spec.dataQuality.disabled"', id="data quality is always on"),
        pytest.param({"schedule": {"cron": "0 0 31 2 *"}}, "so it would never fire", id="a tick that never comes"),
        pytest.param({"batchInference": "x"}, "give exactly one of inferenceService and batchInference", id="two targets"),
        pytest.param({"inferenceService": None}, "give exactly one of inferenceService and batchInference", id="no target"),
        pytest.param({**BATCH, "groundTruth": {}, "performance": {"metric": "mae"}}, "since a BatchInference logs no requests", id="labels of a batch"),
        pytest.param({**BATCH, "service": {"maxErrorShare": "0.01"}}, "since a BatchInference logs no requests", id="errors of a batch"),
        pytest.param({**BATCH, "estimatedPerformance": {"metric": "mae"}}, "since a BatchInference logs no requests", id="an estimate of a batch by rows"),
        pytest.param(TESTED, "groundTruth and performance belong together", id="a metric without labels"),
        pytest.param({"groundTruth": {}}, "groundTruth and performance belong together", id="labels without a metric"),
        pytest.param({**TESTED, "groundTruth": {"dataset": "arrivals"}}, "dataset, key and column belong together", id="a Dataset without its columns"),
        pytest.param({**TESTED, "groundTruth": {"key": "flight"}}, "dataset, key and column belong together", id="a key without its Dataset"),
        pytest.param({**TESTED, "groundTruth": {"probability": "p"}}, "probability is a column of the Dataset: set dataset too", id="a probability without its Dataset"),
        pytest.param({**TESTED, "groundTruth": {"delay": {"max": "15d"}}}, "max must not be longer than 14d", id="labels after more than two weeks"),
        pytest.param({**TESTED, "groundTruth": {"delay": {"min": "2h", "max": "1h"}}}, "min must not be longer than max", id="frozen before it is read"),
        pytest.param({**TESTED, "groundTruth": {"delay": {"min": "4d"}}}, "min must not be longer than max", id="frozen by default before it is read"),
        pytest.param({"groundTruth": {}, "performance": {"metric": "f1"}}, 'Unsupported value: "f1"', id="a metric that is no mean"),
        pytest.param({"notify": {}}, "give exactly one of url and secret", id="no webhook"),
        pytest.param({"notify": {"url": "ftp://x"}}, "spec.notify.url", id="no URL of the web"),
        pytest.param({"service": {}}, "set maxErrorShare, latency or both", id="nothing asked of the service"),
        pytest.param({"service": {"maxErrorShare": "1"}}, "maxErrorShare is a share of all requests", id="all requests may fail"),
        pytest.param({"service": {"latency": {"max": "70ms"}}}, 'Unsupported value: "70ms"', id="a latency within a bucket"),
        pytest.param({"service": {"latency": {"max": "50ms", "quantile": "99"}}}, "quantile is a share of all responses", id="a percentage"),
        pytest.param({"fairness": ODDS}, "this measure of fairness compares predictions with labels: set groundTruth", id="odds without labels"),
        pytest.param({"fairness": PARITY, "groundTruth": {}}, "to test something with the labels", id="labels that nothing needs"),
        pytest.param({"fairness": {**PARITY, "by": []}}, "spec.fairness.by", id="no column"),
        pytest.param({"fairness": {**PARITY, "by": list("abcde")}}, "Too many: 5: must have at most 4 items", id="five columns"),
        pytest.param({"fairness": {**PARITY, "by": ["sex", "sex"]}}, "Duplicate value", id="a column twice"),
        pytest.param({"fairness": {**PARITY, "measure": "odds"}}, 'Unsupported value: "odds"', id="no measure"),
        pytest.param({"fairness": {**PARITY, "maxGap": "0"}}, "maxGap must be above 0", id="no gap at all"),
        pytest.param({"fairness": {**PARITY, "maxGap": "10"}}, "must be below 1, such as '0.1'; write no percentage", id="a percentage"),
        pytest.param({"fairness": {"by": ["sex"], "measure": "accuracy_difference", "positive": "late"}, "groundTruth": {}}, "positive is for measures of the positive class", id="a class that does nothing"),
        pytest.param({"groundTruth": {}, "performance": {"metric": "mae", "maxDrop": "0"}}, "maxDrop must be above 0", id="no drop at all"),
    ],
)  # fmt: skip
def test_a_bad_one_is_refused(installed: Kubectl, changes: dict[str, Any], sentence: str) -> None:
    answer = installed("create", "--dry-run=server", "-f", "-", stdin=manifest({**GOOD, **changes}))

    assert answer.returncode != 0
    assert sentence in answer.stderr

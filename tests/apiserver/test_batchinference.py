"""Bad BatchInferences are refused by the API server with a sentence of ours."""

from typing import Any

import pytest
import yaml

from tests.apiserver.manifests import Kubectl

pytestmark = pytest.mark.apiserver

GOOD: dict[str, Any] = {
    "model": "fraud",
    "input": {"s3": {"uri": "s3://acme/in/"}},
    "output": {"s3": {"uri": "s3://acme/out/"}},
}
NIGHTLY = {"cron": "0 2 * * *"}
DATED = {"s3": {"uri": "s3://acme/out/$(run.date)/"}}


def manifest(spec: dict[str, Any]) -> str:
    return yaml.safe_dump(
        {"apiVersion": "flywheel.ml/v1alpha1", "kind": "BatchInference", "metadata": {"name": "b"}, "spec": spec}
    )


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="the least"),
        pytest.param({"schedule": NIGHTLY, "output": DATED}, id="a schedule with a day in its output"),
        pytest.param({"schedule": NIGHTLY, "output": {**GOOD["output"], "overwrite": True}}, id="a schedule that overwrites"),
        pytest.param({"input": {"pvc": {"claimName": "data", "path": "day=$(run.date)/"}}}, id="a volume"),
        pytest.param({"output": {"s3": {"uri": "s3://acme/"}}, "ttl": "7d"}, id="a whole bucket, and a ttl"),
        pytest.param({"features": {"from": "flight-context"}}, id="features of one set"),
        pytest.param({"features": {}}, id="features of all sets of the version"),
        pytest.param(
            {"input": {**GOOD["input"], "ignore": ["raw"], "csv": {"delimiter": "\t", "decimal": ",", "thousands": ".", "quote": "", "header": False, "missing": ["?", "-"], "dateFormat": "%d.%m.%Y"}}},
            id="CSV of another form",
        ),
    ],
)  # fmt: skip
def test_a_good_one_is_taken(installed: Kubectl, changes: dict[str, Any]) -> None:
    answer = installed("create", "--dry-run=server", "-f", "-", stdin=manifest({**GOOD, **changes}))

    assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        pytest.param({"version": "fraud-1"}, "give exactly one of model", id="model and version"),
        pytest.param({"input": {}}, "give exactly one of s3 and pvc", id="no input"),
        pytest.param({"output": {}}, "spec.output.s3: Required value", id="no output"),
        pytest.param({"output": {"s3": {"uri": "s3://acme/out"}}}, "spec.output.s3.uri", id="an output that is no folder"),
        pytest.param({"output": {"s3": {"uri": "s3://acme/$(run.day)/"}}}, "only $(run.date) (day of the run) and $(run.time)", id="an unknown word"),
        pytest.param({"input": {"pvc": {"claimName": "data", "path": "../a"}}}, "remove '..'", id="a path that leaves the volume"),
        pytest.param({"input": {"s3": {"uri": "s3://acme/in/", "endpoint": "https://s3.example"}}}, "needs secretName", id="a store without keys"),
        pytest.param({"schedule": NIGHTLY}, "each scheduled run needs its own output", id="a schedule into one folder"),
        pytest.param({"schedule": NIGHTLY, "output": DATED, "ttl": "1d"}, "ttl requires a single run", id="a schedule that ends"),
        pytest.param({"input": {**GOOD["input"], "features": ["f" * 100] * 401}}, "may have at most 40000 characters in total", id="names beyond an environment variable"),
        pytest.param({"input": {**GOOD["input"], "format": "JSONL", "csv": {"header": False}}}, "csv describes CSV files", id="CSV options of JSON"),
        pytest.param({"input": {**GOOD["input"], "csv": {"missing": [""]}}}, "spec.input.csv.missing", id="an empty word"),
        pytest.param({"features": "flight-context"}, "spec.features", id="features without from"),
        pytest.param({"features": {"from": "Flight Context"}}, "must be the name of an object", id="features of no name"),
        pytest.param({"features": {"from": ["flight-context"]}}, "spec.features.from", id="a list of sets"),
        pytest.param({"features": {"sets": ["flight-context"]}}, "unknown field", id="another field of features"),
        pytest.param({"parallelism": 0}, "spec.parallelism", id="nobody works"),
        pytest.param({"shards": 1001}, "spec.shards", id="too many shards"),
        pytest.param({"maxRowErrors": -1}, "spec.maxRowErrors", id="fewer errors than none"),
        pytest.param({"output": {**GOOD["output"], "format": "ORC"}}, "supported values", id="an unknown format"),
    ],
)  # fmt: skip
def test_a_bad_one_is_refused(installed: Kubectl, changes: dict[str, Any], sentence: str) -> None:
    answer = installed("create", "--dry-run=server", "-f", "-", stdin=manifest({**GOOD, **changes}))

    assert answer.returncode != 0
    assert sentence.lower() in answer.stderr.lower()

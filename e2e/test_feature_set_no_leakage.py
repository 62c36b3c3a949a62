"""A pipeline trains with a FeatureSet, and a batch looks up in it: what other rows said before a row is a feature, and what comes later is not."""

import json
from typing import Any

import duckdb
import pandas
import pytest

from e2e import kube
from e2e.artifacts import read_artifact, read_object, read_parquet
from e2e.namespace import Namespace
from e2e.pipelines import start_run, step_status, wait_for_run
from e2e.waiting import wait_until

MANIFESTS = """
apiVersion: flywheel.ml/v1alpha1
kind: Dataset
metadata: {name: flights}
spec:
  source: {s3: {uri: "%(uri)s"}}
  target: late
  keys: [flight_id]
  eventTime: sched
  split: {by: Time}
---
apiVersion: flywheel.ml/v1alpha1
kind: Dataset
metadata: {name: departures}
spec:
  source: {s3: {uri: "%(departures)s"}}
---
apiVersion: flywheel.ml/v1alpha1
kind: FeatureSet
metadata: {name: context}
spec:
  owner: operations
  inputs: [{name: sched, type: Timestamp}, {name: origin, type: String}]
  eventTime: sched
  rowwise: {crowded: "coalesce(left_2h, 0) > 4"}
  aggregates:
  - name: left_2h
    from: {dataset: departures, time: at_time, availableAfter: 10m}
    key: {airport: origin}
    function: count
    window: 2h
    every: 10m
    missing: Zero
  lookups:
  - name: departure
    from: {dataset: departures, time: at_time, availableAfter: 10m}
    key: {airport: origin}
    columns: [delay]
    maxAge: 12h
---
apiVersion: flywheel.ml/v1alpha1
kind: TrainingPipeline
metadata: {name: flights}
spec:
  inputs: [{name: flights, dataset: flights}]
  steps:
  - name: search
    train:
      from: flights
      objective: {metric: roc_auc}
      trainer: {sklearn: {estimators: [{name: HistGradientBoostingClassifier}]}}
      featureSets: [context]
      budget: {maxTrials: 1}
  - {name: report, evaluate: {from: search, by: [origin]}}
  - {name: register, register: {from: search, model: flights}}
"""
BATCH = """
apiVersion: flywheel.ml/v1alpha1
kind: BatchInference
metadata: {name: flights}
spec:
  model: flights
  features: {from: context}
  input: {s3: {uri: "%(uri)s"}, ignore: [late]}
  output: {s3: {uri: "%(output)s"}, format: JSONL, include: [flight_id, left_2h, departure_delay], prediction: Probability}
  maxRowErrors: 0
"""
WRONG = """
apiVersion: flywheel.ml/v1alpha1
kind: FeatureSet
metadata: {name: wrong}
spec:
  inputs: [{name: sched, type: Timestamp}, {name: origin, type: String}]
  eventTime: sched
  lookups:
  - {name: departure, from: {dataset: departures, time: at_time}, key: {airport: origin}, columns: [gate], maxAge: 1h}
"""
# A flight is late where many left before it: no column of its own says so.
FLIGHTS = """
    SELECT 'f-' || x AS flight_id, TIMESTAMP '2024-05-01' + to_seconds((x * 900 + hash(x) % 20000)::BIGINT) AS sched,
      ['JFK', 'LGA'][1 + (hash(x, 2) % 2)::INTEGER] AS origin, (hash(x, 3) % 900)::INTEGER AS dist
    FROM range(900) AS t(x)
"""
DEPARTURES = f"SELECT sched AS at_time, origin AS airport, dist % 60 AS delay FROM ({FLIGHTS})"
UNTIL = "2024-05-05"


def rows(query: str) -> list[dict[str, Any]]:
    with duckdb.connect() as connection:
        found = connection.execute(query)
        names = [each[0] for each in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def json_lines(query: str) -> str:
    return "".join(f"{json.dumps(row, default=lambda time: f'{time:%Y-%m-%dT%H:%M:%SZ}')}\n" for row in rows(query))


def expected_features() -> dict[str, tuple[int, int | None]]:
    """Of each flight the departures in whole buckets of two hours before, and the delay of the last one, by plain comparisons."""
    departures = rows(f"SELECT epoch(at_time)::BIGINT AS at_time, airport, delay FROM ({DEPARTURES})")
    found: dict[str, tuple[int, int | None]] = {}
    for flight in rows(f"SELECT flight_id, epoch(sched)::BIGINT AS sched, origin FROM ({FLIGHTS})"):
        known = flight["sched"] - 600
        end = known // 600 * 600
        here = [each for each in departures if each["airport"] == flight["origin"]]
        window = [each for each in here if end - 7200 <= each["at_time"] < end]
        before = [each for each in here if flight["sched"] - 12 * 3600 <= each["at_time"] < known]
        last = max(before, key=lambda each: (each["at_time"], each["delay"]), default=None)
        found[flight["flight_id"]] = (len(window), last["delay"] if last else None)
    return found


@pytest.fixture(scope="module")
def trained(namespace: Namespace) -> Namespace:
    late = {key: count > 4 for key, (count, _delay) in expected_features().items()}
    flights = [json.loads(line) for line in json_lines(FLIGHTS).splitlines()]
    lines = "".join(json.dumps(row | {"late": int(late[row["flight_id"]])}) + "\n" for row in flights)
    values = {
        "uri": namespace.upload("flights/rows.jsonl", lines),
        "departures": namespace.upload("departures/rows.jsonl", json_lines(DEPARTURES)),
    }
    output = f"s3://{kube.bucket()}/{namespace.name}/scored/"
    namespace.apply(MANIFESTS % values, BATCH % {**values, "output": output}, WRONG)
    for kind, name in (("fwds", "flights"), ("fwds", "departures"), ("fwfs", "context")):
        namespace.wait(kind, name)
    namespace.wait("fwpipe", "flights", reason="Live")
    start_run(namespace, "one", "flights")
    return namespace


@pytest.fixture(scope="module")
def run(trained: Namespace) -> dict[str, Any]:
    status = wait_for_run(trained, "one")
    assert status["result"] == "Succeeded", status
    return status


def joined_rows(namespace: Namespace, run: dict[str, Any]) -> dict[str, tuple[int, int | None]]:
    """The features of each flight in the data that the model was trained and tested on."""
    files = read_artifact(namespace, step_status(run, "search")["outputs"]["data"])
    found: dict[str, tuple[int, int | None]] = {}
    for split in ("train", "validation", "test"):
        table = read_parquet(files[f"{split}.parquet"])
        for flight, left, delay in zip(table["flight_id"], table["left_2h"], table["departure_delay"], strict=True):
            found[flight] = (int(left), None if pandas.isna(delay) else int(delay))
    return found


def test_each_row_has_what_was_known_before_it(trained: Namespace, run: dict[str, Any]) -> None:
    assert joined_rows(trained, run) == expected_features()


def test_the_model_learns_from_it_and_pins_the_definition(trained: Namespace, run: dict[str, Any]) -> None:
    files = read_artifact(trained, step_status(run, "search")["outputs"]["model"])
    inputs = {each["name"] for each in json.loads(files["signature.json"])["inputs"]}
    [pinned] = json.loads(files["features.json"])["featureSets"]
    definition = _status(trained, "fwfs", "context")
    version = (trained.get("fwver", run["challenger"]["version"]) or {})["spec"]["lineage"]

    assert {"left_2h", "departure_delay"} <= inputs
    assert float(step_status(run, "report")["metrics"]["roc_auc"]) > 0.95
    assert pinned["digest"] == definition["digest"]
    assert [(each["name"], each["digest"]) for each in version["featureSets"]] == [("context", definition["digest"])]


def test_a_batch_over_raw_rows_looks_up_what_the_training_did(trained: Namespace, run: dict[str, Any]) -> None:
    trained.wait("fwbatch", "flights", reason="Scored", seconds=120)
    manifest = json.loads(read_object(trained, "scored/_manifest.json"))
    [part] = manifest["files"]
    scored = [json.loads(line) for line in read_object(trained, f"scored/{part['path']}").splitlines()]
    [used] = _status(trained, "fwbatch", "flights")["run"]["featureSets"]

    assert {row["flight_id"]: (row["left_2h"], row["departure_delay"]) for row in scored} == expected_features()
    assert manifest["featureSets"] == [used]
    assert used["digest"] == _status(trained, "fwfs", "context")["digest"]
    late = {key for key, (count, _delay) in expected_features().items() if count > 4}
    right = [row for row in scored if (row["probability_1"] > 0.5) == (row["flight_id"] in late)]
    assert len(right) > 0.9 * len(scored)


def test_rows_of_the_future_change_no_feature_of_the_past(trained: Namespace, run: dict[str, Any]) -> None:
    before = joined_rows(trained, run)
    trained.upload("departures/rows.jsonl", json_lines(f"SELECT * FROM ({DEPARTURES}) WHERE at_time < '{UNTIL}'"))
    checked = _status(trained, "fwds", "departures")["digest"]
    trained.kubectl("annotate", "fwds", "departures", "flywheel.ml/check-requested=now")
    wait_until(lambda: _status(trained, "fwds", "departures")["digest"] != checked, 120, "departures are not checked")

    start_run(trained, "two", "flights")
    status = wait_for_run(trained, "two")

    after = joined_rows(trained, status)
    past = {row["flight_id"] for row in rows(f"SELECT flight_id FROM ({FLIGHTS}) WHERE sched <= '{UNTIL}'")}
    assert len(past) > 300
    assert {key: after[key] for key in past} == {key: before[key] for key in past}
    assert after != before


def test_a_feature_that_does_not_fit_is_refused_with_its_name(trained: Namespace) -> None:
    refused = trained.wait("fwfs", "wrong", ready="False", reason="FeatureSetInvalid", stalled=True)

    assert "lookup 'departure' reads column 'gate', which Dataset 'departures' lacks" in refused["message"]


def test_the_feature_set_of_a_champion_cannot_be_deleted(trained: Namespace, run: dict[str, Any]) -> None:
    trained.wait("fwmodel", "flights")
    wait_until(lambda: _status(trained, "fwfs", "context").get("neededBy") == ["flights"], 60, "no model needs it")

    with pytest.raises(kube.KubectlFailed, match="makes features of the champion of Model 'flights'"):
        trained.kubectl("delete", "fwfs", "context")


def _status(namespace: Namespace, kind: str, name: str) -> dict[str, Any]:
    status: dict[str, Any] = (namespace.get(kind, name) or {}).get("status") or {}
    return status

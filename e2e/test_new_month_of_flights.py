"""February's flights arrive: the pipeline retrains by itself, the new model beats January's on February's rows, and its server takes over
and answers rows as the files have them."""

import csv
import gzip
import io
import json
import urllib.request
from itertools import islice
from pathlib import Path

import duckdb
import pytest

from demo import flights
from e2e import kube, pipelines
from e2e.namespace import Namespace
from e2e.waiting import wait_until

MANIFESTS = """
apiVersion: flywheel.ml/v1alpha1
kind: Dataset
metadata: {name: flights}
spec:
  source: {s3: {uri: "%s"}}
  target: late
  keys: [flight_id]
  eventTime: time_hour
  split: {by: Time, validation: "15%%", test: "15%%"}
---
apiVersion: flywheel.ml/v1alpha1
kind: Model
metadata: {name: late}
spec:
  objective: {metric: roc_auc}
  gates: [{name: better-than-today, champion: {metric: roc_auc, minGain: "0.001"}}]
---
apiVersion: flywheel.ml/v1alpha1
kind: TrainingPipeline
metadata: {name: monthly}
spec:
  inputs: [{name: flights, dataset: flights}]
  steps:
  - name: within-reach
    prepare:
      from: [flights]
      sql: SELECT * FROM flights WHERE distance < 3000
  - name: fit
    train:
      from: within-reach
      objective: {metric: roc_auc}
      trainer: {sklearn: {estimators: [{name: HistGradientBoostingClassifier, parameters: {max_iter: 40}}]}}
      budget: {maxTrials: 1}
  - name: slices
    evaluate: {from: fit, by: [origin]}
  - name: register
    register: {from: fit, model: late}
    dependsOn: [slices]
  triggers:
  - {name: new-month, newData: {dataset: flights, minNewRows: 1000}}
---
apiVersion: flywheel.ml/v1alpha1
kind: InferenceService
metadata: {name: late}
spec: {model: late, auth: {none: {}}}
"""
# One flight of four is enough for a difference of some hundredths.
QUERY = """
    COPY (SELECT * FROM read_csv('%s', types = {'time_hour': 'VARCHAR'}) WHERE month <= %d AND hash(flight_id) %% 4 = 0 ORDER BY time_hour, flight_id)
    TO '%s' (FORMAT csv, HEADER true)
"""


def until(month: int, folder: Path) -> bytes:
    """The flights from January to that month."""
    plain = folder / f"until-{month}.csv"
    duckdb.connect().execute(QUERY % (flights.flights_folder() / "flights-2013-q1.csv.gz", month, plain))
    return gzip.compress(plain.read_bytes(), mtime=0)


def champion(namespace: Namespace) -> str | None:
    return ((namespace.get("fwmodel", "late") or {}).get("status") or {}).get("champion")


@pytest.fixture(scope="module")
def january(namespace: Namespace, tmp_path_factory: pytest.TempPathFactory) -> Namespace:
    folder = Path(tmp_path_factory.mktemp("flights"))
    namespace.apply(MANIFESTS % namespace.upload("flights.csv.gz", until(1, folder)))
    [run] = wait_until(lambda: pipelines.list_runs(namespace), 120, "no first run")
    status = pipelines.wait_for_run(namespace, run["metadata"]["name"], 360)
    assert status["result"] == "Succeeded", status
    namespace.wait("fwsvc", "late", seconds=180)
    return namespace


def test_a_new_month_is_trained_on_beats_the_champion_and_is_served(
    january: Namespace, tmp_path_factory: pytest.TempPathFactory
) -> None:
    old = champion(january)
    january.upload("flights.csv.gz", until(2, Path(tmp_path_factory.mktemp("more"))))
    january.kubectl("annotate", "fwds", "flights", "flywheel.ml/check-requested=february")
    wait_until(lambda: len(pipelines.list_runs(january)) == 2, 120, "no second run")
    second = pipelines.list_runs(january)[-1]
    status = pipelines.wait_for_run(january, second["metadata"]["name"], 360)

    assert status["result"] == "Succeeded", status
    assert status["challenger"]["verdict"] == "Champion", status["challenger"]
    new = champion(january)
    assert new == status["challenger"]["version"] != old
    wait_until(
        lambda: (january.get("fwsvc", "late") or {})["status"].get("version") == new,
        180,
        lambda: f"never served: {january.get('fwsvc', 'late')}",
    )
    january.wait("fwsvc", "late")
    said = (january.get("fwpipe", "monthly") or {})["status"]["triggers"][0]["fired"]["cause"]
    assert "more than at the last run" in said


def test_the_champion_answers_rows_of_the_raw_file(january: Namespace, tmp_path: Path) -> None:
    content = gzip.decompress(until(2, tmp_path)).decode()
    rows = list(islice(csv.DictReader(io.StringIO(content)), 5))
    with kube.port_forward("service/late", 8080, january.name) as port:
        url = f"http://127.0.0.1:{port}/v2/models/late"
        with urllib.request.urlopen(url, timeout=30) as response:
            inputs = [each["name"] for each in json.load(response)["inputs"]]
        body = [",".join(inputs), *(",".join(row[name] for name in inputs) for row in rows)]
        request = urllib.request.Request(f"{url}/predict", "\n".join(body).encode(), {"Content-Type": "text/csv"})
        with urllib.request.urlopen(request, timeout=30) as response:
            answers = json.load(response)["predictions"]

    assert [0 < answer["probabilities"]["1"] < 1 for answer in answers] == [True] * 5


def test_the_version_has_the_numbers_of_its_promotion(january: Namespace) -> None:
    version = january.get("fwver", champion(january) or "") or {}
    entries = {each["name"]: each for each in version["status"]["gates"]["entries"]}

    assert len(entries) == 2
    assert all(each["passed"] is True and "roc_auc" in each["message"] for each in entries.values())
    assert "beats-a-constant" in entries

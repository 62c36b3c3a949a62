"""Story: flights month after month. A model of the first quarter becomes worse in April, the monitor finds it, and what it finds leads to the
next champion: one run, the gates, a canary under traffic, and better predictions in May.

The clock is accelerated: two days of flights pass in each minute, written into the log as servers would have (e2e/replay.py).
"""

import gzip
import http.client
import itertools
import json
import time
import urllib.request
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path

import duckdb
import numpy
import pandas
import pytest

from demo import flights
from e2e import artifacts, kube, pipelines, replay
from e2e.clients import Clients
from e2e.manifests import CANARY
from e2e.monitors import SETTLING_SECONDS, read_report, run_monitor
from e2e.namespace import Namespace
from e2e.waiting import wait_until
from flywheel_serving.model.onnx_model import OnnxModel
from flywheel_serving.prediction_log.config import LogConfig

pytestmark = pytest.mark.long

NAME = "late"
MANIFESTS = """
apiVersion: flywheel.ml/v1alpha1
kind: Dataset
metadata: {name: flights}
spec:
  source: {s3: {uri: "%s"}}
  target: late
  keys: [flight_id]
  eventTime: time_hour
  split: {by: Time, validation: "5%%", test: "10%%"}
---
apiVersion: flywheel.ml/v1alpha1
kind: Model
metadata: {name: late}
spec:
  objective: {metric: roc_auc}
  gates: [{name: better-than-today, champion: {metric: roc_auc, minGain: "0.005"}}]
---
apiVersion: flywheel.ml/v1alpha1
kind: TrainingPipeline
metadata: {name: late}
spec:
  inputs: [{name: flights, dataset: flights}]
  steps:
  - name: fit
    train:
      from: flights
      objective: {metric: roc_auc}
      trainer: {sklearn: {estimators: [{name: HistGradientBoostingClassifier, parameters: {max_iter: 40}}]}}
      budget: {maxTrials: 1}
  - {name: register, register: {from: fit, model: late}}
  triggers:
  - {name: worse, monitor: {name: late, when: Performance}}
---
apiVersion: flywheel.ml/v1alpha1
kind: InferenceService
metadata: {name: late}
spec:
  model: late
  auth: {none: {}}
  logging: {sample: "100%%"}
  rollout: %s
"""
# A minute has two days of flights, so that a year of flights is an eighth of a day.
MONITOR = """
apiVersion: flywheel.ml/v1alpha1
kind: ModelMonitor
metadata: {name: late}
spec:
  inferenceService: late
  window: 1m
  schedule: {cron: "0 0 1 1 *"}
  falseAlarms: {count: 8, per: 1d}
  groundTruth: {delay: {max: 1m}}
  performance: {metric: brier, maxDrop: "0.01"}
"""
WINDOW, LABEL_DELAY = timedelta(minutes=1), timedelta(minutes=1)
DAYS_OF_WINDOW = 2
APRIL_DAYS = 30
QUERY = """
    SELECT *, dayofyear(make_date(2013, month, day)) - 1 + (sched_dep_time // 100 * 60 + sched_dep_time % 100) / 1440 AS days
    FROM read_csv($files, types = {'time_hour': 'VARCHAR'}) WHERE month BETWEEN $first AND $last ORDER BY days, flight_id
"""


def read_months(first: int, last: int) -> pandas.DataFrame:
    """The flights of these months; `days` is the time since the first of January."""
    files = [str(each) for each in sorted(flights.flights_folder().iterdir())]
    return duckdb.execute(QUERY, {"files": files, "first": first, "last": last}).df()


def upload_until(namespace: Namespace, month: int) -> str:
    """The flights from January to that month as the Dataset's only file."""
    content = read_months(1, month).drop(columns="days").to_csv(index=False).encode()
    return namespace.upload("flights.csv.gz", gzip.compress(content, compresslevel=1, mtime=0))


@dataclass
class Version:
    """A version of the model, with its files in a folder."""

    name: str
    digest: str
    folder: Path

    def brier(self, rows: pandas.DataFrame) -> float:
        """Mean squared error of the probabilities."""
        model = OnnxModel(self.folder / "model.onnx")
        feeds = {each.name: artifacts.input_tensor(rows[each.name], each.datatype) for each in model.signature.inputs}
        [probabilities] = model.run(feeds, ["probabilities"])
        return float(numpy.mean((probabilities[:, 1] - rows["late"].to_numpy()) ** 2))


def served_version(namespace: Namespace, folder: Path) -> Version:
    """The version that the service serves."""
    status = (namespace.get("fwsvc", NAME) or {})["status"]
    for path, content in artifacts.read_artifact(namespace, status["digest"]).items():
        (folder / path).write_bytes(content)
    return Version(status["version"], status["digest"], folder)


def replay_flights(
    namespace: Namespace, version: Version, rows: pandas.DataFrame, start: datetime, days: float
) -> None:
    """Write what a server of the version would have logged of the rows and their labels, so many days in each window from `start` on."""
    elapsed = rows["days"].to_numpy(numpy.float64) - numpy.floor(rows["days"].min())
    times = start.timestamp() + elapsed / days * WINDOW.total_seconds()
    pod = f"late-{version.name.rpartition('-')[2]}"
    config = LogConfig(sample=1.0, service=NAME, namespace=namespace.name, pod=pod, digest=version.digest)
    server = replay.ReplayedServer(version.folder, version.name, config, f"{int(start.timestamp()):012x}")
    replay.upload(server.replay(replay.Traffic(rows, times, rows["late"].tolist())))


class Users(Clients):
    """Users who ask for one flight after the other, over connections that they keep."""

    def __init__(self, port: int, rows: pandas.DataFrame) -> None:
        super().__init__(clients=3, max_seconds=300)
        self.failures: list[str] = []
        self._port, self._path = port, f"/v2/models/{NAME}"
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{self._path}", timeout=30) as response:
            inputs = [each["name"] for each in json.load(response)["inputs"]]
        self._rows = json.loads(rows[inputs].head(500).to_json(orient="records"))

    def _send_requests(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        for row in itertools.cycle(self._rows):
            if not self._should_go_on():
                break
            try:
                connection.request("POST", f"{self._path}/predict", json.dumps({"rows": [row]}))
                response = connection.getresponse()
                content = json.loads(response.read())
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                connection.close()
                continue
            if response.status == HTTPStatus.OK:
                self.answers[content["model_version"]] += 1
            else:
                self.failures.append(str(content))
            time.sleep(0.02)
        connection.close()


@dataclass
class Story:
    """What happened, and how long after the story's last step."""

    lines: list[str] = field(default_factory=list)
    last: float = field(default_factory=time.monotonic)

    def add_step(self, step: str, finding: str) -> None:
        now = time.monotonic()
        self.lines.append(f"  {step:<22} {now - self.last:>5.0f} s   {finding}")
        self.last = now


def floor(time: datetime) -> datetime:
    return time.replace(second=0, microsecond=0)


def day_of_april(time: datetime, start: datetime) -> int:
    """The day of April whose flights were replayed at that time."""
    return (time - start) // WINDOW * DAYS_OF_WINDOW + 1


@pytest.fixture(scope="module")
def first(namespace: Namespace, tmp_path_factory: pytest.TempPathFactory) -> Version:
    """The champion of the first quarter, which is served."""
    namespace.apply(MANIFESTS % (upload_until(namespace, 3), json.dumps(CANARY)))
    namespace.wait("fwds", "flights")
    pipelines.start_run(namespace, "first", NAME)
    status = pipelines.wait_for_run(namespace, "first", 240)
    assert status["result"] == "Succeeded", status
    namespace.wait("fwsvc", NAME, seconds=180)
    return served_version(namespace, Path(tmp_path_factory.mktemp("first")))


def load_april(namespace: Namespace) -> None:
    """The Dataset gets a version with the flights until April."""
    before = (namespace.get("fwds", "flights") or {})["status"]["version"]
    upload_until(namespace, 4)
    namespace.kubectl("annotate", "fwds", "flights", "flywheel.ml/check-requested=april")
    wait_until(
        lambda: (namespace.get("fwds", "flights") or {})["status"]["version"] != before, 120, "no version of April"
    )
    namespace.wait("fwds", "flights")


def test_drift_of_the_concept_leads_to_a_better_champion(
    namespace: Namespace,
    first: Version,
    tmp_path_factory: pytest.TempPathFactory,
    capsys: pytest.CaptureFixture[str],
) -> None:
    story = Story()
    load_april(namespace)
    april, may = read_months(4, 4), read_months(5, 5)
    tested_until = floor(datetime.now(UTC) - timedelta(seconds=SETTLING_SECONDS))
    start = tested_until - LABEL_DELAY - APRIL_DAYS // DAYS_OF_WINDOW * WINDOW
    replay_flights(namespace, first, april, start, DAYS_OF_WINDOW)
    namespace.apply(MONITOR)
    story.add_step("April is replayed", f"{len(april):,} flights as traffic of {first.name}, with labels")

    status = run_monitor(namespace, NAME, tested_until)
    condition = next(each for each in status["conditions"] if each["type"] == "Performing")
    assert condition["status"] == "False", condition
    [finding] = [each for each in status["findings"] if each["signal"] == "performance"]
    state = json.loads(artifacts.read_artifact(namespace, status["state"]["digest"])["state.json"])
    alarm = next(datetime.fromtimestamp(time, UTC) for time, signal, *_ in state["alarms"] if signal == "performance")
    since = day_of_april(datetime.fromisoformat(finding["since"]), start)
    delay = (alarm - datetime.fromisoformat(finding["since"])) // WINDOW * DAYS_OF_WINDOW
    story.add_step("the monitor finds", f"brier is worse since April {since}, known after {delay} days of flights")

    [run] = wait_until(
        lambda: [each for each in pipelines.list_runs(namespace) if each["metadata"]["name"] != "first"], 60
    )
    assert (run["spec"]["cause"]["monitor"], run["spec"]["cause"]["version"]) == (NAME, first.name)
    with kube.port_forward(f"service/{NAME}", 8080, namespace.name) as port, Users(port, may) as users:
        trained = pipelines.wait_for_run(namespace, run["metadata"]["name"], 240)
        assert trained["result"] == "Succeeded", trained
        second = trained["challenger"]["version"]
        story.add_step("one run retrains", f"{run['metadata']['name']} registers {second}")
        wait_until(
            lambda: (namespace.get("fwmodel", NAME) or {})["status"]["champion"] == second,
            120,
            lambda: str(namespace.get("fwmodel", NAME)),
        )
        gates = (namespace.get("fwver", second) or {})["status"]["gates"]["entries"]
        gate = next(each["message"] for each in gates if each["name"] == "better-than-today")
        story.add_step("the gates pass", gate)
        wait_until(
            lambda: (namespace.get("fwsvc", NAME) or {})["status"].get("version") == second,
            180,
            lambda: str(namespace.get("fwsvc", NAME)),
        )
    assert users.failures == []
    assert users.answers[second] > 0 < users.answers[first.name]
    story.add_step(
        "the canary promotes", f"{users.answers.total():,} requests, none failed; {users.answers[second]:,} by {second}"
    )

    version = served_version(namespace, Path(tmp_path_factory.mktemp("second")))
    next_window = datetime.fromisoformat(status["processedUntil"])
    replay_flights(namespace, version, may, next_window, days=31)
    status = run_monitor(namespace, NAME, next_window + WINDOW + LABEL_DELAY)
    windows = read_report(namespace, status)["performance"]["windows"]
    [window] = [each for each in windows if (each["version"], each["labels"]["labelled"]) == (second, len(may))]
    story.add_step(
        "May is replayed",
        f"brier {window['value']:.3f} of {second}; {first.brier(may):.3f} of {first.name} on the same flights",
    )
    with capsys.disabled():
        print("\nConcept drift, with two days of flights in a minute:", *story.lines, sep="\n")

    assert window["value"] == pytest.approx(version.brier(may), abs=1e-6)
    assert window["value"] < first.brier(may)
    assert [each for each in status["findings"] if (each["signal"], each["version"]) == ("performance", second)] == []
    assert len(pipelines.list_runs(namespace)) == 2, "one change starts one run"

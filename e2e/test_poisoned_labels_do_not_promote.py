"""Story: one hostile caller posts 1, 5 and 20 % of the labels. With guards they move nothing: no run, no rollback, no gate. Without guards the
same labels start a run, let the hostile version through its gate, and take the champion back.

The log is written as servers would have, had it been a while ago (e2e/replay.py)."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from e2e import kube, pipelines, replay
from e2e.artifacts import (
    baseline_document,
    classifier_signature,
    prediction_counts,
    read_artifact,
    store_artifact,
    write_tested_model,
)
from e2e.manifests import DELAY_VERSION, GOOD_ROWS
from e2e.monitors import read_report, run_monitors
from e2e.namespace import Namespace
from e2e.onnx_models import classifier
from e2e.waiting import wait_until
from flywheel_serving.prediction_log.config import LogConfig

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]

BEFORE, CHAMPION, HOSTILE = "delay-1", "delay-2", "delay-3"
# Late from that distance on, of 0 to 100; the champion is right.
THRESHOLDS = {BEFORE: 60.0, CHAMPION: 50.0, HOSTILE: 51.0}
ACCURACIES = {BEFORE: 0.9, CHAMPION: 0.9999, HOSTILE: 0.99995}  # on test rows; the hostile version's are poisoned too
RATES = (0.01, 0.05, 0.2)
MINUTES_OF_A_RATE, ROWS_OF_A_MINUTE = 5, 4_000
MAX_SHARE, MAX_DROP, MIN_GAIN = 0.002, 0.004, 0.003
STRANGER = "system:serviceaccount:elsewhere:stranger"

ORDINARY, SOUND = "unguarded", "guarded"  # monitors of the same log
MINUTE, SETTLING = timedelta(minutes=1), timedelta(minutes=4)

MODEL = """
apiVersion: flywheel.ml/v1alpha1
kind: Model
metadata: {name: delay}
spec:
  objective: {metric: accuracy}
  defaultGates: Disabled
  rollback: {when: [LabelledLoss], monitors: [guarded], bakeTime: 2h}
---
apiVersion: flywheel.ml/v1alpha1
kind: InferenceService
metadata: {name: delay}
spec:
  model: delay
  auth: {none: {}}
  logging: {sample: "100%%"}
---
apiVersion: flywheel.ml/v1alpha1
kind: Dataset
metadata: {name: days}
spec:
  source: {s3: {uri: "%s"}}
---
apiVersion: flywheel.ml/v1alpha1
kind: TrainingPipeline
metadata: {name: retrain}
spec:
  inputs: [{name: days, dataset: days}]
  steps: [{name: all, prepare: {from: [days], sql: "SELECT * FROM days"}}]
  triggers:
  - {name: guarded, monitor: {name: guarded, when: Performance}}
  - {name: unguarded, monitor: {name: unguarded, when: Performance}}
"""
MONITOR = """---
apiVersion: flywheel.ml/v1alpha1
kind: ModelMonitor
metadata: {name: %s}
spec:
  inferenceService: delay
  window: 1m
  schedule: {cron: "0 0 1 1 *"}
  falseAlarms: {count: 8, per: 1d}
  groundTruth: %s
  performance: {metric: accuracy, maxDrop: "%s"}
"""


def draw() -> tuple[pd.DataFrame, list[int], NDArray[np.bool_]]:
    """Rows in the order of time, their labels, and which are the hostile ones: a rate after the other, each for some minutes.

    The hostile source labels all rows that the hostile version decides otherwise than the champion, as that version decides, and as many
    others, wrong, as its rate needs.
    """
    random = np.random.default_rng(43)
    distances, hostile = [], []
    for rate in (each for each in RATES for _ in range(MINUTES_OF_A_RATE)):
        rows = random.uniform(0, 100, ROWS_OF_A_MINUTE).astype(np.float32)
        is_between = (rows > THRESHOLDS[CHAMPION]) & (rows <= THRESHOLDS[HOSTILE])
        chosen = np.lexsort((random.random(len(rows)), ~is_between))[: round(rate * len(rows))]
        distances.append(rows)
        hostile.append(np.isin(np.arange(len(rows)), chosen))
    table, is_hostile = pd.DataFrame({"distance": np.concatenate(distances)}), np.concatenate(hostile)
    truth = table["distance"].to_numpy() > THRESHOLDS[CHAMPION]
    return table, (truth ^ is_hostile).astype(int).tolist(), is_hostile


def make_baseline() -> bytes:
    """baseline.json of the training rows, by which servers count."""
    rows = draw()[0]
    scores = 1 / (1 + np.exp(-(rows["distance"].to_numpy() - THRESHOLDS[CHAMPION]) / 5))
    counted = prediction_counts(scores, np.linspace(0, 1, 51).tolist())
    return baseline_document(rows, {"distance": np.linspace(0, 100, 21).tolist()}, counted)


def write_version(folder: Path, name: str) -> None:
    model = classifier({"distance": 0.2}, -0.2 * THRESHOLDS[name])
    write_tested_model(folder, model, make_baseline(), {"accuracy": ACCURACIES[name]})
    (folder / "signature.json").write_text(json.dumps(classifier_signature("late", ["distance"])))


def replay_traffic(namespace: str, folder: Path, digest: str, end: datetime) -> replay.Objects:
    """What the log has of the champion's traffic until `end`, each rate for some minutes, with labels of both sources."""
    rows, labels, hostile = draw()
    seconds = 60 / ROWS_OF_A_MINUTE
    times = end.timestamp() - len(rows) * seconds + np.arange(len(rows), dtype=np.float64) * seconds
    claims = f"system:serviceaccount:{namespace}:claims"
    sources = [STRANGER if each else claims for each in hostile]
    config = LogConfig(sample=1.0, service="delay", namespace=namespace, pod="delay-before", digest=digest)
    server = replay.ReplayedServer(folder, CHAMPION, config, "0123456789ab")
    return server.replay(replay.Traffic(rows, times, labels, sources=sources))


def label_sources(namespace: str) -> dict[str, dict[str, Any]]:
    """spec.groundTruth of both monitors."""
    guards = {"trustedSources": [f"system:serviceaccount:{namespace}:claims"], "maxSourceShare": f"{MAX_SHARE:.1%}"}
    delay = {"delay": {"max": "1m"}}
    return {SOUND: {**delay, "guards": guards}, ORDINARY: delay}


def labelled_gate(monitor: str) -> dict[str, Any]:
    gate = {"metric": "accuracy", "minGain": str(MIN_GAIN), "window": "2h", "monitor": monitor}
    return {"name": monitor, "labelled": gate}


def patch_model(namespace: Namespace, **spec: Any) -> None:
    namespace.kubectl("patch", "fwmodel", "delay", "--type=merge", "--patch", json.dumps({"spec": spec}))


def wait_for_champion(namespace: Namespace, version: str) -> None:
    wait_until(
        lambda: namespace.status("fwmodel", "delay").get("champion") == version,
        90,
        lambda: str(namespace.status("fwmodel", "delay")),
    )


@dataclass(frozen=True)
class Attacked:
    """The namespace after both monitors' runs over the traffic until `end`; their statuses by name."""

    namespace: Namespace
    end: datetime
    monitors: dict[str, dict[str, Any]]

    def drops(self, monitor: str) -> list[float]:
        """How much worse the accuracy was by the labels that count for this monitor, in each window."""
        report = read_report(self.namespace, self.monitors[monitor])
        return [each["drop"] for each in report["performance"]["windows"]]

    def alarms(self, monitor: str) -> list[datetime]:
        """When it would have alarmed about labels."""
        state = json.loads(read_artifact(self.namespace, self.monitors[monitor]["state"]["digest"])["state.json"])
        return [datetime.fromtimestamp(at, UTC) for at, signal, *_ in state["alarms"] if signal == "performance"]

    def runs(self) -> list[str]:
        """The monitors that have started runs."""
        return [run["spec"]["cause"]["monitor"] for run in pipelines.list_runs(self.namespace)]


@pytest.fixture(scope="module")
def attacked(namespace: Namespace, tmp_path_factory: pytest.TempPathFactory) -> Attacked:
    """A new champion has had traffic with hostile labels, and the hostile version is measured."""
    folder = tmp_path_factory.mktemp("versions")
    for name in THRESHOLDS:
        write_version(folder / name, name)
    digests = {name: store_artifact(namespace, folder / name) for name in THRESHOLDS}
    namespace.apply(MODEL % namespace.upload("days.csv", GOOD_ROWS), DELAY_VERSION % (BEFORE, digests[BEFORE]))
    wait_for_champion(namespace, BEFORE)
    namespace.apply(DELAY_VERSION % (CHAMPION, digests[CHAMPION]))
    end = datetime.now(UTC).replace(second=0, microsecond=0) - SETTLING
    replay.upload(replay_traffic(namespace.name, folder / CHAMPION, digests[CHAMPION], end))
    wait_for_champion(namespace, CHAMPION)
    for name, source in label_sources(namespace.name).items():
        namespace.apply(MONITOR % (name, json.dumps(source), MAX_DROP))
    patch_model(namespace, gates=[labelled_gate(SOUND), labelled_gate(ORDINARY)])
    namespace.apply(DELAY_VERSION % (HOSTILE, digests[HOSTILE]))
    namespace.wait("fwsvc", "delay")
    names = [SOUND, ORDINARY]
    return Attacked(namespace, end, dict(zip(names, run_monitors(namespace, names, end + MINUTE), strict=True)))


def test_hostile_labels_are_no_drop_and_start_no_run(attacked: Attacked) -> None:
    triggers = attacked.namespace.status("fwpipe", "retrain")["triggers"]
    skipped = next(each["skipped"] for each in triggers if each["name"] == SOUND)

    assert len(attacked.drops(SOUND)) == len(RATES) * MINUTES_OF_A_RATE
    assert max(attacked.drops(SOUND)) <= MAX_SHARE + 0.001
    assert (attacked.alarms(SOUND), SOUND in attacked.runs()) == ([], False)
    assert (skipped["reason"], STRANGER in skipped["message"]) == ("LabelsRefused", True)


def test_the_flood_is_told_with_its_source(attacked: Attacked) -> None:
    [finding] = attacked.monitors[SOUND]["findings"]

    assert (finding["signal"], finding["subject"]) == ("labels", STRANGER)
    assert kube.condition({"status": attacked.monitors[SOUND]}, "DataHealthy")["message"].startswith(
        f"Source '{STRANGER}' decided 20 % of the labelled rows"
    )


def test_the_champion_stays_and_the_audit_chain_says_why(attacked: Attacked) -> None:
    namespace = attacked.namespace
    wait_until(
        lambda: namespace.status("fwmodel", "delay").get("audit", {}).get("recordedProblems"),
        60,
        lambda: str(namespace.status("fwmodel", "delay")),
    )
    [entry] = namespace.status("fwmodel", "delay")["tolerated"]

    assert namespace.status("fwmodel", "delay")["champion"] == CHAMPION
    assert (entry["version"], entry["monitor"], entry["reason"]) == (CHAMPION, SOUND, "LabelsRefused")
    assert (STRANGER in entry["message"], "what they say is no loss" in entry["message"]) == (True, True)


def test_the_hostile_version_fails_its_gate_and_would_have_passed_it(attacked: Attacked) -> None:
    namespace = attacked.namespace
    found = wait_until(
        lambda: namespace.status("fwver", HOSTILE).get("gates", {}).get("entries"),
        90,
        lambda: str(namespace.status("fwmodel", "delay")),
    )
    passed = {each["name"]: each["passed"] for each in found}

    assert passed == {SOUND: False, ORDINARY: True}, found
    assert HOSTILE not in [each["version"] for each in namespace.status("fwmodel", "delay")["history"]]


def test_without_guards_the_same_labels_start_a_run_and_take_the_champion_back(attacked: Attacked) -> None:
    """Without this the tests above would prove nothing."""
    namespace, drops = attacked.namespace, attacked.drops(ORDINARY)
    for number, rate in enumerate(RATES):
        stage = drops[number * MINUTES_OF_A_RATE :][:MINUTES_OF_A_RATE]
        assert min(stage) > MAX_DROP, (rate, stage)
    first_rate_ends = attacked.end - (len(RATES) - 1) * MINUTES_OF_A_RATE * MINUTE
    assert attacked.alarms(ORDINARY)[0] <= first_rate_ends + MINUTE, (
        "the smallest rate is enough, once its labels are in"
    )
    wait_until(lambda: attacked.runs() == [ORDINARY], 60, lambda: str(namespace.status("fwpipe", "retrain")))

    patch_model(namespace, rollback={"monitors": [ORDINARY]})
    wait_for_champion(namespace, BEFORE)
    problem = namespace.status("fwver", CHAMPION)["problem"]
    assert (problem["kind"], problem["monitor"], problem["rolledBack"]) == ("LabelledLoss", ORDINARY, True)

"""Story: a champion that answers every row alike passed each gate and the rollout; its monitor finds it, and the one before answers again.

Git pins that one then, and what the monitor finds of it is only told."""

import json
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from e2e import kube, replay, rollouts
from e2e.artifacts import baseline_document, prediction_counts, store_artifact, write_tested_model
from e2e.manifests import DELAY_VERSION, MONITOR
from e2e.namespace import Namespace
from e2e.onnx_models import columns
from e2e.waiting import wait_until
from flywheel_serving.prediction_log.config import LogConfig

pytestmark = pytest.mark.long

WEIGHTS = {"distance": 0.2, "month": 1.0}  # of columns that are uniform from 0 to 100
GOOD, BAD = "delay-1", "delay-2"
MODELS = {GOOD: columns(WEIGHTS), BAD: columns(dict.fromkeys(WEIGHTS, 0.0))}
ERRORS = {GOOD: 0.8, BAD: 0.5}  # on the same test rows, as their trainings say
MINUTES, ROWS_OF_A_MINUTE, ROLLOUT_SECONDS = 20, 600, 120
random = np.random.default_rng(29)

MODEL = """
apiVersion: flywheel.ml/v1alpha1
kind: Model
metadata: {name: delay}
spec:
  objective: {metric: mae}
  defaultGates: Disabled
  rollback: {when: [Errors, NotFinite, ConstantOutput, LabelledLoss], monitors: [delay], bakeTime: 30m}
---
apiVersion: flywheel.ml/v1alpha1
kind: InferenceService
metadata: {name: delay}
spec:
  model: delay
  auth: {none: {}}
  logging: {sample: "0%"}
  rollout:
    canary:
      steps: [{percent: 50, duration: 6s}]
      analysis: {maxErrorRate: "1%", maxP99Ratio: "1000", minRequests: 20}
    keepWarm: 10s
"""
WATCH_ERRORS = """  service: {maxErrorShare: "0.01"}
"""
FAILED_SHARE = 0.5  # of the requests of the version before, as its servers counted them


def draw(rows: int) -> pd.DataFrame:
    return pd.DataFrame({name: random.uniform(0, 100, rows).astype(np.float32) for name in WEIGHTS})


def make_baseline() -> bytes:
    """baseline.json of the training rows, with the predictions of the good model."""
    rows, edges = draw(20_000), np.linspace(0, 100, 21).tolist()
    predictions = sum(weight * rows[name].to_numpy(float) for name, weight in WEIGHTS.items())
    counted = prediction_counts(predictions, np.linspace(0, 100 * sum(WEIGHTS.values()), 51).tolist())
    return baseline_document(rows, dict.fromkeys(WEIGHTS, edges), counted)


def store_version(namespace: Namespace, folder: Path, name: str, baseline: bytes) -> str:
    """The digest of the version's artifact, whose files are left in the folder."""
    write_tested_model(folder, MODELS[name], baseline, {"mae": ERRORS[name]})
    return store_artifact(namespace, folder)


def replay_traffic(namespace: Namespace, folder: Path, name: str, digest: str, failed_share: float = 0.0) -> None:
    """Traffic of a version in the last minutes, counted by the server's own code."""
    last = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=3)
    count = MINUTES * ROWS_OF_A_MINUTE
    times = (last - timedelta(minutes=MINUTES)).timestamp() + np.arange(count) * 60 / ROWS_OF_A_MINUTE
    config = LogConfig(sample=1.0, service="delay", namespace=namespace.name, pod=f"before-{name}", digest=digest)
    server = replay.ReplayedServer(folder, name, config, "0123456789ab", failed_share)
    replay.upload(server.replay(replay.Traffic(draw(count), times, [0.0] * count)))


def predict(port: int) -> str:
    """The version that answered one request."""
    body = json.dumps({"rows": draw(1).astype(float).to_dict("records")}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v2/models/delay/predict", body)
    with urllib.request.urlopen(request, timeout=10) as response:
        return str(json.load(response)["model_version"])


def answers_until(port: int, is_over: Callable[[], object], seconds: float) -> Counter[str]:
    """Requests until it is over, by the version that answered; each is answered."""
    answers: Counter[str] = Counter()
    end = time.monotonic() + seconds
    while not is_over():
        assert time.monotonic() < end, f"not over after {seconds:.0f} s; answered so far: {answers}"
        for _ in range(20):
            answers[predict(port)] += 1
    return answers


@pytest.fixture(scope="module")
def served(namespace: Namespace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Namespace, int]]:
    """The bad version has taken over from the good one, by its metric and by a canary under traffic."""
    folder, baseline = tmp_path_factory.mktemp("versions"), make_baseline()
    digests = {name: store_version(namespace, folder / name, name, baseline) for name in MODELS}
    namespace.apply(MODEL + MONITOR + WATCH_ERRORS + DELAY_VERSION % (GOOD, digests[GOOD]))
    namespace.wait("fwsvc", "delay")
    namespace.apply(DELAY_VERSION % (BAD, digests[BAD]))
    replay_traffic(namespace, folder / BAD, BAD, digests[BAD])
    replay_traffic(namespace, folder / GOOD, GOOD, digests[GOOD], FAILED_SHARE)
    with kube.port_forward("service/delay", 8080, namespace.name) as port:
        answers_until(port, lambda: namespace.status("fwsvc", "delay").get("version") == BAD, ROLLOUT_SECONDS)
        yield namespace, port


def test_a_bad_champion_goes_and_the_one_before_answers_again(served: tuple[Namespace, int]) -> None:
    namespace, port = served
    before = rollouts.server_uids(namespace)
    time.sleep(12)  # keepWarm alone would have ended the good version's servers
    namespace.kubectl("annotate", "fwmon", "delay", "--overwrite", f"flywheel.ml/run-requested={time.time()}")
    answers_until(port, lambda: namespace.status("fwver", BAD).get("rejection"), 180)
    began = time.monotonic()
    answers_until(port, lambda: namespace.status("fwsvc", "delay").get("version") == GOOD, 60)
    print(f"the version before answers again {time.monotonic() - began:.1f} s after the finding")

    assert before.items() <= rollouts.server_uids(namespace).items(), "its servers were kept, and none was started"
    wait_until(lambda: predict(port) == GOOD, 15, "the good version does not answer")
    problem = namespace.status("fwver", BAD)["problem"]
    assert (problem["kind"], problem["rolledBack"], problem["monitor"]) == ("ConstantOutput", True, "delay")
    assert "predictionDrift (psi) of 'prediction' is" in problem["message"]


def test_the_model_says_why_and_the_audit_chain_has_it(served: tuple[Namespace, int]) -> None:
    namespace, _port = served
    model = namespace.status("fwmodel", "delay")
    last = model["history"][-1]

    assert (model["champion"], last["version"], last["reason"]) == (GOOD, GOOD, "RolledBack")
    assert f"'{BAD}' was rolled back: ModelMonitor 'delay' found the same answer for all rows" in last["message"]
    wait_until(
        lambda: namespace.status("fwmodel", "delay").get("audit", {}).get("recorded") == last["number"],
        60,
        lambda: f"not recorded: {namespace.status('fwmodel', 'delay').get('audit')}",
    )


def test_a_champion_that_git_pins_is_only_told_about(served: tuple[Namespace, int]) -> None:
    namespace, port = served
    namespace.kubectl("patch", "fwmodel", "delay", "--type=merge", "--patch", json.dumps({"spec": {"champion": GOOD}}))
    wait_until(
        lambda: (namespace.status("fwver", GOOD).get("problem") or {}).get("reason") == "Pinned",
        60,
        lambda: f"no problem: {namespace.status('fwver', GOOD)}, {namespace.status('fwmon', 'delay')}",
    )
    problem, model = namespace.status("fwver", GOOD)["problem"], namespace.status("fwmodel", "delay")

    assert (problem["kind"], problem["rolledBack"]) == ("Errors", False)
    assert "spec.champion of Model 'delay' names it; name another version there" in problem["message"]
    assert "rejection" not in namespace.status("fwver", GOOD)
    assert (model["champion"], predict(port)) == (GOOD, GOOD)
    wait_until(
        lambda: namespace.status("fwmodel", "delay")["tolerated"][-1]["reason"] == "Pinned",
        30,
        lambda: f"not tolerated: {namespace.status('fwmodel', 'delay').get('tolerated')}",
    )

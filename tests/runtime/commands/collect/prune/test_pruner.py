"""Pruning with a real store and a real main, by collect itself."""

import json
import math
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from flywheel_runtime.commands.collect import main_observer
from flywheel_runtime.commands.collect.main import collect
from flywheel_runtime.commands.collect.main_observer import Stop
from flywheel_runtime.commands.collect.prune import pruner as pruning
from flywheel_runtime.commands.collect.prune.curve import Curve
from flywheel_runtime.commands.collect.prune.siblings import Siblings
from flywheel_runtime.commands.watch.main_guard import MainGuard
from flywheel_runtime.contract import termination_message
from flywheel_runtime.contract.config.collect import CollectConfig
from flywheel_runtime.contract.paths import Paths
from flywheel_runtime.store.artifacts import Store
from tests.runtime.pods import golden
from tests.runtime.process_family import ProcessFamily

pytestmark = pytest.mark.integration  # the other side is a real S3 server

MEDIAN = {"metric": "loss", "maximize": False, "group": "1a2b/0", "rule": {"median": {"startupTrials": 2}}}
LOSES = """
import json, sys, time
with open(sys.argv[1], "a") as file:
    file.write(json.dumps({"step": 5, "name": "loss", "value": 0.9}) + "\\n")
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "CHECK_INTERVAL_SECONDS", 0.05)


@pytest.fixture
def pod(finished: dict[str, str]) -> dict[str, str]:
    told = json.loads(finished["FLYWHEEL_COLLECT"]) | {"prune": MEDIAN}
    return finished | {"FLYWHEEL_COLLECT": json.dumps(told)}


def outputs(pod: dict[str, str]) -> Path:
    return Path(pod["FLYWHEEL_ROOT"]) / "outputs"


def siblings(store: Store, mine: str = "trial-9") -> Siblings:
    return Siblings(store, "curves/1234/1a2b/0/", mine)


def publish(store: Store, **curves: dict[int, float]) -> None:
    for name, points in curves.items():
        siblings(store, name.replace("_", "-")).publish(points.items(), store)


def test_a_trial_that_succeeded_leaves_its_curve(pod: dict[str, str], store: Store) -> None:
    told = collect(pod, Paths.from_env(pod), Stop(at=time.monotonic()))

    assert told["complete"]
    assert "pruned" not in told
    assert siblings(store).curves() == [{0: 0.4}]


def test_a_trial_that_failed_leaves_none(pod: dict[str, str], store: Store) -> None:
    (outputs(pod) / "metrics.json").unlink()

    collect(pod, Paths.from_env(pod), Stop(at=time.monotonic()))

    assert siblings(store).curves() == []


def test_of_two_attempts_the_first_curve_counts_and_ones_own_is_not_among_them(store: Store) -> None:
    publish(store, trial_1={0: 0.5})
    publish(store, trial_1={0: 0.1}, trial_2={0: math.nan})

    [first, second] = siblings(store).curves()
    assert first == {0: 0.5}
    assert math.isnan(second[0])
    assert siblings(store, "trial-1").curves() == [pytest.approx({0: math.nan}, nan_ok=True)]


def test_a_damaged_curve_is_one_without_points(store: Store) -> None:
    store.commit("curves/1234/1a2b/0/trial-1.json", b'{"points": [[')

    assert siblings(store).curves() == [{}]


def test_main_is_ended_where_others_were_better(
    pod: dict[str, str], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(store, trial_1={5: 0.2}, trial_2={5: 0.3})
    (outputs(pod) / "metrics.json").unlink()

    told, code = run_main(pod, LOSES, monkeypatch)

    assert code == -15
    assert told["pruned"] == {"step": 5, "value": 0.9}
    assert not told["complete"]
    # The curve of the fixture is part of it: 0.4 at step 0.
    assert told["error"] == {
        "reason": "Pruned",
        "message": "loss was 0.4 at best, and the median of 2 trials is 0.25, so the trial ended at step 5",
        "retry": False,
    }
    assert set(told["outputs"]) == {"tracking"}
    assert list(told) == list(golden("collect_pruned")["message"])
    assert siblings(store).curves() == siblings(store, "trial-7").curves()
    assert len(termination_message.encode(told)) < termination_message.MAX_MESSAGE_BYTES


def test_a_main_that_has_written_its_metrics_is_left_alone(
    pod: dict[str, str], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(store, trial_1={5: 0.2}, trial_2={5: 0.3})

    told, code = run_main(pod, LOSES.replace("sleep(60)", "sleep(1)"), monkeypatch)

    assert (code, told["complete"]) == (0, True)


def test_a_store_that_fails_prunes_nobody_and_fails_nothing(
    pod: dict[str, str], store: Store, capfd: pytest.CaptureFixture[str]
) -> None:
    config = CollectConfig.parse(json.dumps({"prune": MEDIAN})).prune
    assert config is not None
    curve = Curve(outputs(pod) / "metrics.jsonl", "loss")
    gone = Siblings(Store.from_env(pod | {"FLYWHEEL_BUCKET": "gone"}, "shop", store.retry), "curves/", "trial-7")
    found = pruning.Pruner(config, curve, gone, outputs(pod) / "metrics.json")

    found.publish(time.monotonic() + 5)
    found.start()
    time.sleep(0.3)
    found.stop()

    assert found.verdict is None
    assert "nothing is pruned now" in capfd.readouterr().err


def run_main(pod: dict[str, str], program: str, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, Any], int]:
    """collect and watch's guard beside a process as main: the final message, and main's exit code."""
    command = [sys.executable, "-c", program, str(outputs(pod) / "metrics.jsonl")]
    paths = Paths.from_env(pod)
    with subprocess.Popen(command) as process:
        family = ProcessFamily(process.pid)
        monkeypatch.setattr(main_observer, "ProcessTable", lambda: family)
        guard = threading.Thread(target=MainGuard(None, 10, paths, ProcessFamily(process.pid).read).run)
        guard.start()
        reaper = threading.Thread(target=process.wait)
        reaper.start()
        told = collect(pod, paths, Stop())
        guard.join()
        reaper.join()
        return told, process.returncode

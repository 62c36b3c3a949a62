"""The operator as a process, with its watch, its Lease and its signals, on a real API server."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from e2e.cluster.apiserver import free_port
from flywheel.core.resource import names
from flywheel.core.resource.api import CONFIG_MAP, DEPLOYMENT, JOB, LEASE
from tests.engine.harness import EngineHarness, eventually
from tests.engine.widget import WIDGETS

pytestmark = pytest.mark.apiserver
CHECKOUT = Path(__file__).resolve().parents[2]


class Process:
    """One operator of one namespace."""

    def __init__(self, kubeconfig: Path, namespace: str, log: Path, **more: str) -> None:
        self.log = log
        self.port = free_port()
        environment = {
            **os.environ,
            "KUBECONFIG": str(kubeconfig),
            "PYTHONPATH": os.pathsep.join((str(CHECKOUT / "operator"), str(CHECKOUT))),
            "FLYWHEEL_NAMESPACES": namespace,
            "FLYWHEEL_LEASE_NAMESPACE": namespace,
            "FLYWHEEL_HTTP": f"127.0.0.1:{self.port}",
            **more,
        }
        with log.open("w") as words:
            command = [sys.executable, "-m", "tests.engine.widget_operator"]
            self.process = subprocess.Popen(command, env=environment, stderr=words, cwd=CHECKOUT)

    def page(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def ready(self) -> bool:
        return self.page("/readyz")[0] == 200

    def writes(self) -> list[str]:
        return [line for line in self.log.read_text().splitlines() if " write " in line]

    def end(self) -> int:
        """SIGTERM, and its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


@pytest.fixture
def start(widgets: Path, harness: EngineHarness, tmp_path: Path) -> Iterator[Callable[..., Process]]:
    with ExitStack() as stack:
        numbers = iter(range(100))

        def begin(**more: str) -> Process:
            found = Process(widgets, harness.namespace, tmp_path / f"operator-{next(numbers)}.log", **more)
            stack.callback(found.process.wait)
            stack.callback(found.process.kill)
            return found

        yield begin


def ready_widget(harness: EngineHarness, name: str) -> Callable[[], bool]:
    def holds() -> bool:
        status = harness.get(WIDGETS, name).get("status") or {}
        return any(each["type"] == "Ready" and each["status"] == "True" for each in status.get("conditions", ()))

    return holds


def holder(harness: EngineHarness) -> Any:
    lease = harness.client.get(harness.at(LEASE, "flywheel-operator"))
    return lease and lease["spec"]["holderIdentity"]


def test_from_spec_to_status_and_back_to_nothing(start: Callable[..., Process], harness: EngineHarness) -> None:
    operator = start()
    harness.put(WIDGETS, "one", spec={"serve": True, "jobs": 1})

    eventually(ready_widget(harness, "one"))

    assert operator.page("/livez") == (200, "ok")
    # A reconciliation is counted when it has ended, a moment after its status can be read.
    eventually(lambda: 'controller_runtime_reconcile_total{controller="Widget"' in operator.page("/metrics")[1])
    assert 'leader_election_master_status{name="flywheel-operator"} 1.0' in operator.page("/metrics")[1]
    assert operator.end() == 0
    assert holder(harness) == ""


def test_a_change_made_by_hand_is_undone_by_the_watch(start: Callable[..., Process], harness: EngineHarness) -> None:
    start()
    harness.put(WIDGETS, "one", spec={"message": "right"})
    eventually(ready_widget(harness, "one"))

    harness.put(CONFIG_MAP, "one-config", data={"message": "wrong"})

    eventually(lambda: harness.get(CONFIG_MAP, "one-config")["data"] == {"message": "right"})


def test_idle_is_silent_through_a_resync(start: Callable[..., Process], harness: EngineHarness) -> None:
    harness.put(WIDGETS, "one", spec={"serve": True, "jobs": 1})
    operator = start(FLYWHEEL_RESYNC_SECONDS="5")
    eventually(ready_widget(harness, "one"))
    metric = 'controller_runtime_reconcile_total{controller="Widget",result="requeue_after"} '

    def reconciles() -> float:
        return sum(
            float(line.split()[-1]) for line in operator.page("/metrics")[1].splitlines() if line.startswith(metric)
        )

    eventually(lambda: len(operator.writes()) == 5)
    written, counted = len(operator.writes()), reconciles()

    eventually(lambda: reconciles() >= counted + 2)

    assert len(operator.writes()) == written


def test_a_released_lease_is_followed_at_once(start: Callable[..., Process], harness: EngineHarness) -> None:
    first = start(POD_NAME="first")
    eventually(lambda: holder(harness) == "first")
    second = start(POD_NAME="second")
    eventually(second.ready)

    first.process.send_signal(signal.SIGTERM)

    eventually(lambda: holder(harness) == "second")
    harness.put(WIDGETS, "one", spec={})
    eventually(ready_widget(harness, "one"))


def test_a_leader_that_slept_writes_nothing_and_ends(start: Callable[..., Process], harness: EngineHarness) -> None:
    first = start(POD_NAME="first")
    eventually(lambda: holder(harness) == "first")
    second = start(POD_NAME="second")
    eventually(second.ready)

    first.process.send_signal(signal.SIGSTOP)
    eventually(lambda: holder(harness) == "second")
    harness.put(WIDGETS, "one", spec={})
    eventually(ready_widget(harness, "one"))
    first.process.send_signal(signal.SIGCONT)

    assert first.process.wait(30) == 1
    assert first.writes() == []


def test_a_missing_crd_is_named(apiserver: Path, harness: EngineHarness, tmp_path: Path) -> None:
    log = tmp_path / "operator.log"
    with log.open("w") as words:
        code = subprocess.run(
            [sys.executable, "-c", MISSING],
            env={
                **os.environ,
                "KUBECONFIG": str(apiserver),
                "PYTHONPATH": os.pathsep.join((str(CHECKOUT / "operator"), str(CHECKOUT))),
                "FLYWHEEL_HTTP": f"127.0.0.1:{free_port()}",
            },
            stderr=words,
            timeout=60,
            check=False,
        ).returncode

    assert code == 1
    assert "The API server knows no gadgets.flywheel.ml; install the CRDs of the chart" in log.read_text()


MISSING = """
import os, sys
from dataclasses import replace
from flywheel.core.resource.api import flywheel_api
from flywheel.engine.process import run
from tests.engine.widget import KIND
sys.exit(run((replace(KIND, api=flywheel_api("Gadget", "gadgets")),), os.environ))
"""


@pytest.mark.parametrize("deadly", range(1, 7))
def test_death_after_any_write_leaves_the_same_end(
    start: Callable[..., Process], harness: EngineHarness, deadly: int
) -> None:
    harness.put(WIDGETS, "one", spec={"serve": True, "jobs": 2})

    killed = start(POD_NAME="same", FLYWHEEL_DIE_AFTER_WRITES=str(deadly))
    assert killed.process.wait(60) == 137
    assert len(killed.writes()) == deadly
    survivor = start(POD_NAME="same")
    eventually(ready_widget(harness, "one"))
    time.sleep(0.5)  # a twin would come now

    widget = harness.get(WIDGETS, "one")
    found = {
        api: len(
            harness.client.list_metadata(api, harness.namespace, f"{names.UID_LABEL}={widget['metadata']['uid']}")[
                "items"
            ]
        )
        for api in (CONFIG_MAP, DEPLOYMENT, JOB)
    }
    assert found == {CONFIG_MAP: 1, DEPLOYMENT: 1, JOB: 2}
    assert survivor.process.poll() is None

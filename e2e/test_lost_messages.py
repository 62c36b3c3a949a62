"""Whatever is lost on the way, an outcome is right or tried again, and never a false success."""

import json

import pytest

from e2e import kube
from e2e.bad_input import dataset, slow_trainer, trial
from e2e.manifests import GOOD_ROWS
from e2e.namespace import Namespace
from e2e.waiting import wait_until


@pytest.fixture(scope="module")
def rows(namespace: Namespace) -> None:
    namespace.apply(dataset("rows", namespace.upload("rows.csv", GOOD_ROWS)))
    namespace.wait("fwds", "rows")


def records(namespace: Namespace, name: str) -> str:
    """The status, to be read by people."""
    return json.dumps((namespace.get("fwexp", name) or {}).get("status", {}))


def test_a_pod_that_is_deleted_is_tried_again(namespace: Namespace, rows: None, image: str) -> None:
    namespace.apply(trial("deleted", image, slow_trainer(12)))

    namespace.kubectl("delete", "pod", namespace.running_pod("deleted"), "--grace-period=1")

    namespace.wait("fwexp", "deleted", seconds=180)


def test_a_pod_that_is_evicted_is_tried_again_and_not_counted(namespace: Namespace, rows: None, image: str) -> None:
    namespace.apply(trial("evicted", image, slow_trainer(12)))

    namespace.evict(namespace.running_pod("evicted"))

    namespace.wait("fwexp", "evicted", seconds=240)


def test_a_pod_whose_collect_was_killed_has_not_succeeded(namespace: Namespace, rows: None, image: str) -> None:
    namespace.apply(trial("killer", image, slow_trainer(12)))
    kill = "import os, pathlib, signal; [os.kill(int(each.name), signal.SIGKILL) for each in pathlib.Path('/proc').glob('[0-9]*') if b'flywheel_runtime\\0collect' in (each / 'cmdline').read_bytes()]"
    try:
        namespace.kubectl(
            "exec", namespace.running_pod("killer"), "--container", "collect", "--", "python3", "-c", kill
        )
    except kube.KubectlFailed as failed:
        if "exit code 137" not in str(failed):  # the container ends with collect, at times before exec has returned
            raise

    def judged() -> str | None:
        status = (namespace.get("fwexp", "killer") or {}).get("status", {})
        return (
            records(namespace, "killer")
            if status.get("best")
            or "attempt" in json.dumps(status)
            or kube.condition({"status": status}).get("status") == "True"
            else None
        )

    wait_until(judged, 120, lambda: records(namespace, "killer"))
    condition = kube.condition(namespace.get("fwexp", "killer"))
    stored = kube.store().list_objects_v2(Bucket=kube.bucket(), Prefix=f"{namespace.name}/results/").get("KeyCount", 0)

    # Restarted in time, collect still uploads everything: then it is a success with a manifest. Without a manifest it may be none.
    assert condition.get("status") != "True" or stored > 0


def test_main_that_ignores_sigterm_at_its_timeout_has_failed(namespace: Namespace, rows: None, image: str) -> None:
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    namespace.apply(trial("deaf", image, deaf, trialTimeout="5s"))

    condition = namespace.wait("fwexp", "deaf", ready="False", reason="TrialsFailed", seconds=120)

    assert "timeout" in condition["message"]

"""Story: a week of quiet traffic raises no alarm; when one feature shifts, the monitor names that feature and no other, and touches no server."""

import hashlib
import json
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from e2e import kube
from e2e.artifacts import store_artifact
from e2e.manifests import LOGGED_SERVICE, MONITOR
from e2e.monitors import run_monitor
from e2e.namespace import Namespace
from e2e.onnx_models import columns
from e2e.quiet_traffic import (
    DAY_MINUTES,
    ROWS_OF_A_MINUTE,
    WEEK_DAYS,
    WEIGHTS,
    Columns,
    draw,
    make_baseline,
    request_body,
    write_quiet_week,
)
from e2e.reader_access import MOUNT_SECONDS, bind, give_reader_a_key
from e2e.waiting import wait_until
from tests.reader.http_get import get

pytestmark = pytest.mark.long

LOGGING = '{sample: "0%"}'
# What the monitor also watches, and a webhook whose host the installation does not allow.
WATCHED = """  service: {maxErrorShare: "0.01", latency: {max: 1s}}
  notify: {url: "https://hooks.example.org/T0"}
"""


def counted(namespace: Namespace) -> tuple[int, datetime]:
    """Rows that the real server has counted in the store, and when its last document begins."""
    store, bucket = kube.store(), kube.bucket()
    prefix = f"{namespace.name}/predictions/delay/counts/"
    pages = store.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    keys = [each["Key"] for page in pages for each in page.get("Contents", []) if "delay-before" not in each["Key"]]
    found = [json.loads(store.get_object(Bucket=bucket, Key=key)["Body"].read()) for key in keys]
    last = max((datetime.fromisoformat(each["from"]) for each in found), default=datetime.min.replace(tzinfo=UTC))
    return sum(each["rows"] for each in found), last


def send(port: int, rows: Columns) -> None:
    """Requests of 50 rows."""
    count = len(next(iter(rows.values())))
    for start in range(0, count, 50):
        body = request_body({name: values[start : start + 50] for name, values in rows.items()})
        request = urllib.request.Request(f"http://127.0.0.1:{port}/v2/models/delay/infer", body)
        with urllib.request.urlopen(request, timeout=30) as response:
            assert response.status == 200


def end_of_window(time: datetime) -> datetime:
    """The end of the window that has this time."""
    return time.replace(second=0, microsecond=0) + timedelta(minutes=1)


def signal(status: dict[str, Any], type_: str) -> str:
    return str(next(each["status"] for each in status["conditions"] if each["type"] == type_))


def servers(namespace: Namespace) -> set[tuple[str, int]]:
    """Uid and restarts of the servers' pods."""
    pods = kube.list_objects("pods", namespace.name, "flywheel.ml/role=server")
    restarts = [sum(each["restartCount"] for each in pod["status"]["containerStatuses"]) for pod in pods]
    return {(pod["metadata"]["uid"], count) for pod, count in zip(pods, restarts, strict=True)}


@pytest.fixture(scope="module")
def served(namespace: Namespace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Namespace, int]]:
    folder: Path = tmp_path_factory.mktemp("artifact")
    (folder / "model.onnx").write_bytes(columns(WEIGHTS))
    baseline = make_baseline()
    (folder / "baseline.json").write_bytes(baseline)
    digest = store_artifact(namespace, folder)
    this_minute = datetime.now(UTC).replace(second=0, microsecond=0)
    write_quiet_week(
        namespace, digest, f"sha256:{hashlib.sha256(baseline).hexdigest()}", this_minute - timedelta(minutes=2)
    )
    give_reader_a_key()
    bind(namespace, "analyst", "flywheel-data-reader")
    namespace.apply(LOGGED_SERVICE % {"digest": digest, "logging": LOGGING} + MONITOR + WATCHED)
    namespace.wait("fwsvc", "delay")
    with kube.port_forward("service/delay", 8080, namespace.name) as port:
        yield namespace, port


def test_null_week_is_silent(served: tuple[Namespace, int]) -> None:
    """A week of the accelerated clock: 168 windows in one run, with daily cycles and a slow movement within the threshold."""
    namespace, _port = served
    until = datetime.now(UTC) - timedelta(minutes=4)

    status = run_monitor(namespace, "delay", end_of_window(until))

    assert status.get("findings", []) == []
    assert status["budget"]["alarms"] == 0
    assert status["window"]["rows"] >= (DAY_MINUTES * WEEK_DAYS - 3) * ROWS_OF_A_MINUTE
    assert (signal(status, "NoDrift"), signal(status, "DataHealthy")) == ("True", "True")


def test_drift_is_told_and_only_told(served: tuple[Namespace, int]) -> None:
    namespace, port = served
    before = servers(namespace)
    send(port, draw(3 * ROWS_OF_A_MINUTE, shifted="distance"))
    wait_until(lambda: counted(namespace)[0] == 3 * ROWS_OF_A_MINUTE, 90, "the shifted traffic is not counted")
    drifted = run_monitor(namespace, "delay", end_of_window(counted(namespace)[1]))

    assert signal(drifted, "NoDrift") == "False"
    assert signal(drifted, "Ready") == "True"
    found = {(each["signal"], each["subject"]) for each in drifted["findings"]}
    assert {subject for kind, subject in found if kind == "featureDrift"} == {"distance"}
    assert "distance" in next(each["message"] for each in drifted["conditions"] if each["type"] == "NoDrift")
    assert before == servers(namespace), "a monitor touches no server"
    assert signal(drifted, "ServiceHealthy") in ("True", "Unknown"), "windows of a minute say little of dependence"


def test_a_notification_is_made_once_and_goes_to_no_host_that_is_not_allowed(served: tuple[Namespace, int]) -> None:
    namespace, _port = served

    def given_up() -> list[dict[str, Any]]:
        notifications = (namespace.get("fwmon", "delay") or {})["status"].get("notifications", [])
        return [each for each in notifications if each["result"] == "Failed"]

    [notification] = wait_until(given_up, 120, lambda: str((namespace.get("fwmon", "delay") or {})["status"]))
    assert (notification["conditions"], notification["reason"]) == (["NoDrift"], "HostNotAllowed")


def test_the_report_is_read_through_the_reader(served: tuple[Namespace, int]) -> None:
    namespace, _port = served
    token = namespace.kubectl("create", "token", "analyst", "--audience=flywheel-reader").strip()
    path = f"/v1/namespaces/{namespace.name}/modelmonitors/delay/report"
    headers = {"Authorization": f"Bearer {token}"}
    with kube.port_forward("service/flywheel-reader", 8080, "flywheel-system") as port:
        # The kubelet brings the reader its key of this namespace within about a minute.
        wait_until(lambda: get(port, path, headers).status == 200, MOUNT_SECONDS, lambda: str(get(port, path, headers)))
        page, numbers = get(port, path, headers), get(port, f"{path}?format=json", headers).json

    assert page.headers["content-type"].startswith("text/html")
    assert b"distance" in page.body
    assert b"<script" not in page.body
    assert {each["subject"] for each in numbers["findings"] if each["signal"] == "featureDrift"} == {"distance"}
    windows = numbers["serviceHealth"]["windows"]
    assert sum(each["successes"] for each in windows) == 3 * ROWS_OF_A_MINUTE // 50, "the requests after the first run"
    assert {count for each in windows for count in each["errors"].values()} == {0}


def test_a_suspended_monitor_does_nothing(served: tuple[Namespace, int]) -> None:
    namespace, _port = served
    number = (namespace.get("fwmon", "delay") or {})["status"]["run"]["number"]
    namespace.kubectl("patch", "fwmon", "delay", "--type=merge", '--patch={"spec":{"suspend":true}}')
    namespace.wait("fwmon", "delay", ready="False", reason="Suspended")
    namespace.kubectl("annotate", "fwmon", "delay", "--overwrite", f"flywheel.ml/run-requested={time.time()}")
    time.sleep(5)

    status = (namespace.get("fwmon", "delay") or {})["status"]
    assert status["run"]["number"] == number
    assert signal(status, "NoDrift") == "Unknown", "it claims nothing meanwhile"

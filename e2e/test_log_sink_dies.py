"""Story: predictions are logged and counted; the writer in the sink is killed, then the store is away. No user notices, and nothing is hidden."""

import http.client
import io
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from e2e import kube
from e2e.artifacts import store_artifact
from e2e.manifests import LOGGED_SERVICE
from e2e.namespace import STORE_SECRET, Namespace
from e2e.onnx_models import linear
from e2e.waiting import wait_until

pytestmark = pytest.mark.long

LOGGING = '{sample: "100%", key: flight_id}'
BASELINE = {"v": 1, "rows": 1, "features": {"x": {"type": "Float", "edges": [0, 10, 20, 30]}}}
ROWS, ANSWERS = "flywheel_log_rows_total", "model_infer_request_success_total"
DIED = 'flywheel_log_dropped_total{reason="sink_died"}'
KILL = "import os; [os.kill(int(pid), {signal}) for pid in open('/proc/1/task/1/children').read().split()]"
PAUSE_SECONDS = 0.02


class Traffic:
    """One user who asks again and again over a loopback port, and remembers what was answered and what failed."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._on = threading.Event()
        self._thread = threading.Thread(target=self._ask_again_and_again, daemon=True)
        self.answered = 0
        self.failures: list[str] = []

    def __enter__(self) -> "Traffic":
        self._on.set()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._on.clear()
        self._thread.join()
        self._connection.close()

    def _ask_again_and_again(self) -> None:
        while self._on.is_set():
            try:
                self._ask(self.answered)
                self.answered += 1
            except Exception as error:  # noqa: BLE001  whatever a user would see is reported at the end
                self.failures.append(repr(error))
            time.sleep(PAUSE_SECONDS)

    def _ask(self, number: int) -> None:
        """One connection is kept for all."""
        inputs = [{"name": "x", "datatype": "FP32", "shape": [1, 1], "data": [number % 40]}]
        body = {"id": f"request-{number}", "inputs": inputs, "parameters": {"flight_id": number}}
        self._connection.request("POST", "/v2/models/delay/infer", json.dumps(body))
        answer = json.load(self._connection.getresponse())
        assert answer["outputs"][0]["data"] == [2.0 * (number % 40) + 1.0]


def metric(namespace: Namespace, series: str) -> float:
    """Asked inside the pod, since a port-forward does not bear a new connection for each question."""
    program = "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:8080/metrics').read().decode())"
    lines = in_server(namespace, program).splitlines()
    return next(float(line.rpartition(" ")[2]) for line in lines if line.startswith((f"{series} ", f"{series}{{")))


def objects(namespace: Namespace, kind: str) -> list[bytes]:
    """What lies in the store under `predictions/delay/<kind>/`."""
    store, bucket = kube.store(), kube.bucket()
    prefix = f"{namespace.name}/predictions/delay/{kind}/"
    pages = store.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    keys = [each["Key"] for page in pages for each in page.get("Contents", [])]
    return [store.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys]


def logged(namespace: Namespace, folder: Path) -> list[tuple[Any, ...]]:
    """Id, key, input and output of every logged row, read by DuckDB."""
    files = []
    for number, content in enumerate(objects(namespace, "rows")):
        file = folder / f"{number}.parquet"
        file.write_bytes(content)
        files.append(str(file))
    query = "SELECT id, key, features.x, outputs.score, version FROM read_parquet($1)"
    return duckdb.connect().execute(query, [files]).fetchall() if files else []


@pytest.fixture(scope="module")
def served(namespace: Namespace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Namespace, int]]:
    folder = tmp_path_factory.mktemp("artifact")
    (folder / "model.onnx").write_bytes(linear([2.0], bias=1.0))
    (folder / "baseline.json").write_text(json.dumps(BASELINE))
    digest = store_artifact(namespace, folder)
    namespace.apply(LOGGED_SERVICE % {"digest": digest, "logging": LOGGING})
    namespace.wait("fwver", "delay-1")
    namespace.wait("fwsvc", "delay")
    with kube.port_forward("service/delay", 8080, namespace.name) as port:
        yield namespace, port


def in_server(namespace: Namespace, program: str, container: str = "server") -> str:
    return namespace.kubectl("exec", "deployment/delay", "--container", container, "--", "python3", "-c", program)


def test_nobody_notices_and_nothing_is_hidden(served: tuple[Namespace, int], tmp_path: Path) -> None:
    namespace, port = served
    with Traffic(port) as traffic:
        wait_until(lambda: metric(namespace, ROWS) > 0, 120, "no row was ever written")

        for secret in ("/etc/flywheel/store", "/proc/*/environ"):  # the server has no key of the store
            held = f"import glob; print(any(b'SECRET_ACCESS' in open(f, 'rb').read() for f in glob.glob('{secret}')))"
            assert in_server(namespace, held).strip() == "False"
        killed_at = traffic.answered
        in_server(namespace, KILL.format(signal=9), "log-sink")
        wait_until(
            lambda: metric(namespace, "flywheel_log_sink_starts_total") >= 2, 60, "the sink is not started again"
        )
        before = metric(namespace, ROWS)
        wait_until(lambda: metric(namespace, ROWS) > before, 120, "rows do not come again after the sink was killed")
        assert traffic.answered > killed_at

        away(namespace, "http://127.0.0.1:9")
        stopped = metric(namespace, ROWS)
        wait_until(
            lambda: "cannot be written" in sink_log(namespace), 150, "the sink does not say that the store is away"
        )
        away(namespace, None)
        wait_until(lambda: metric(namespace, ROWS) > stopped, 150, "rows do not come again after the store came back")

    assert traffic.failures == []
    died = metric(namespace, DIED)
    answered = metric(namespace, ANSWERS)
    assert answered == traffic.answered

    namespace.kubectl("scale", "fwsvc/delay", "--replicas=0")
    wait_until(
        lambda: not kube.list_objects("pods", namespace.name, "flywheel.ml/role=server"), 90, "the server does not end"
    )
    rows = logged(namespace, tmp_path)
    assert len(rows) == len({row[0] for row in rows}) == answered - died, (
        "what is not in the store was counted as dropped"
    )
    assert all(
        key == request_id.removeprefix("request-") and score == 2 * x + 1 for request_id, key, x, score, _ in rows
    )
    assert {row[4] for row in rows} == {"delay-1"}
    windows = [json.load(io.BytesIO(each)) for each in objects(namespace, "counts")]
    assert sum(window["requests"] for window in windows) == answered, "every request is counted once, whatever happened"
    found = [window["features"]["x"] for window in windows]
    assert sum(sum(each["bins"]) + each["over"] for each in found) == answered


def away(namespace: Namespace, endpoint: str | None) -> None:
    """Points the namespace's store Secret elsewhere, or back. A touched pod makes the kubelet bring it at once."""
    namespace.apply(namespace.store_secret(**({"AWS_ENDPOINT_URL": endpoint} if endpoint else {})))
    namespace.kubectl(
        "annotate", "pods", "--selector", "flywheel.ml/role=server", "--overwrite", f"story/touched={time.time()}"
    )
    wanted = endpoint or kube_endpoint()
    read = "print(open('/etc/flywheel/store/AWS_ENDPOINT_URL').read())"
    wait_until(
        lambda: in_server(namespace, read, "log-sink").strip() == wanted,
        120,
        f"the Secret {STORE_SECRET} does not reach the pod",
    )


def kube_endpoint() -> str:
    """The store's address as pods have it."""
    return kube.secret_values(STORE_SECRET, "flights")["AWS_ENDPOINT_URL"]


def sink_log(namespace: Namespace) -> str:
    return namespace.kubectl("logs", "deployment/delay", "--container", "log-sink", "--tail=50")

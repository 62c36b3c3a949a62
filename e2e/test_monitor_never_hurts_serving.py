"""Story: a sink of the prediction log that is away, slow or full costs the callers of its server nothing.

Two servers of one model, with all rows logged and counted: the sink of one of them is broken. A turn sends requests to both alternately,
so that whatever else runs on the node hurts both alike; the figure is the median over ten turns of the ratio of their p99.
"""

import http.client
import json
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from e2e import kube, loopback
from e2e.artifacts import store_artifact
from e2e.cluster import cluster
from e2e.manifests import LOGGED_SERVICE
from e2e.namespace import Namespace
from e2e.onnx_models import columns
from e2e.quiet_traffic import WEIGHTS, draw, make_baseline, predict, request_body
from e2e.waiting import wait_until

pytestmark = pytest.mark.long

PAIRS, REQUESTS, WARM_UP_REQUESTS, ROWS, FILLING_ROWS = 10, 800, 100, 20, 500
MAX_RATIO = 1.2
HEALTHY, BROKEN = "delay", "broken"
SERVICE = """---
apiVersion: flywheel.ml/v1alpha1
kind: InferenceService
metadata: {name: broken}
spec:
  version: delay-1
  auth: {none: {}}
  logging: {sample: "100%"}
"""
# Each runs in the sink's container. Its first process starts the writer, which is the only child.
WRITER = "import os, signal, time; pid = int(open('/proc/1/task/1/children').read().split()[0]); "
AWAY = WRITER + "s = '/run/flywheel-log/sink.sock'; os.rename(s, s + '.away'); os.kill(pid, signal.SIGKILL)"
BACK = "import os; s = '/run/flywheel-log/sink.sock'; os.rename(s + '.away', s)"
STOP, CONTINUE = (WRITER + f"os.kill(pid, signal.{name})" for name in ("SIGSTOP", "SIGCONT"))
SLOW = (
    WRITER
    + """
end = time.time() + 90
open('/run/flywheel-log/slow', 'w').close()
while os.path.exists('/run/flywheel-log/slow') and time.time() < end:
    os.kill(pid, signal.SIGSTOP)
    time.sleep(0.95)
    os.kill(pid, signal.SIGCONT)
    time.sleep(0.05)
"""
)
WELL_AGAIN = "import os; os.remove('/run/flywheel-log/slow')"
DROPPED = 'flywheel_log_dropped_total{reason="full"}'


class Caller:
    """One connection to a server, which it keeps."""

    def __init__(self, service: str, port: int, count: int = ROWS) -> None:
        self.service, self.port = service, port
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        rows = draw(count)
        self._body, self._expected = request_body(rows), predict(rows)

    def close(self) -> None:
        self._connection.close()

    def call(self) -> float:
        """The seconds until a right response."""
        start = time.perf_counter()
        self._connection.request("POST", f"/v2/models/{self.service}/infer", self._body)
        response = self._connection.getresponse()
        content = response.read()
        seconds = time.perf_counter() - start
        assert response.status == 200, content
        assert np.allclose(json.loads(content)["outputs"][0]["data"], self._expected, rtol=1e-4)
        return seconds


def is_reached(service: str, port: int) -> bool:
    """Whether a server responds: the node learns of a new Service after its pods are ready."""
    try:
        with closing(Caller(service, port)) as caller:
            caller.call()
    except (OSError, http.client.HTTPException):
        return False
    return True


def p99_ratio(healthy: Caller, broken: Caller) -> float:
    """The p99 of the server whose sink is broken by that of the other, of calls that alternate; each comes first in turn."""
    seconds: dict[Caller, list[float]] = {healthy: [], broken: []}
    for number in range(REQUESTS):
        for caller in (healthy, broken) if number % 2 else (broken, healthy):
            seconds[caller].append(caller.call())
    return float(np.quantile(seconds[broken], 0.99) / np.quantile(seconds[healthy], 0.99))


def sink_exec(namespace: Namespace, program: str) -> tuple[str, ...]:
    return (
        "--namespace",
        namespace.name,
        "exec",
        f"deployment/{BROKEN}",
        "--container",
        "log-sink",
        "--",
        "python3",
        "-c",
        program,
    )


def metric(namespace: Namespace, series: str) -> float:
    """A metric of the server whose sink is broken."""
    program = "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:8080/metrics').read().decode())"
    text = namespace.kubectl("exec", f"deployment/{BROKEN}", "--container", "server", "--", "python3", "-c", program)
    return next(
        (
            float(line.rpartition(" ")[2])
            for line in text.splitlines()
            if line.startswith((f"{series} ", f"{series}{{"))
        ),
        0.0,
    )


@pytest.fixture(scope="module")
def callers(
    namespace: Namespace, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Namespace, Caller, Caller]]:
    folder: Path = tmp_path_factory.mktemp("artifact")
    (folder / "model.onnx").write_bytes(columns(WEIGHTS))
    (folder / "baseline.json").write_bytes(make_baseline())
    digest = store_artifact(namespace, folder)
    namespace.apply(LOGGED_SERVICE % {"digest": digest, "logging": '{sample: "100%"}'} + SERVICE)
    with ExitStack() as stack:
        found = []
        for name in (HEALTHY, BROKEN):
            namespace.wait("fwsvc", name)
            address = (namespace.get("service", name) or {})["spec"]["clusterIP"]
            port = stack.enter_context(loopback.service(address, 8080))
            wait_until(partial(is_reached, name, port), 60, f"the Service {name} leads to no server")
            found.append(stack.enter_context(closing(Caller(name, port))))
        for _ in range(WARM_UP_REQUESTS):
            for caller in found:
                caller.call()
        yield namespace, found[0], found[1]


@contextmanager
def sink_is_away(namespace: Namespace, _broken: Caller) -> Iterator[None]:
    """The server cannot connect."""
    kube.kubectl(*sink_exec(namespace, AWAY))
    wait_until(lambda: metric(namespace, "flywheel_log_sink_connected") == 0, 30, "the server is still connected")
    yield
    kube.kubectl(*sink_exec(namespace, BACK))
    wait_until(lambda: metric(namespace, "flywheel_log_sink_connected") == 1, 90, "the server does not connect again")


@contextmanager
def sink_is_slow(namespace: Namespace, _broken: Caller) -> Iterator[None]:
    """The writer runs one twentieth of the time."""
    command = [str(cluster.kubectl_path()), "--kubeconfig", str(cluster.chosen().kubeconfig)]
    with subprocess.Popen([*command, *sink_exec(namespace, SLOW)]) as process:
        time.sleep(2)
        assert process.poll() is None
        yield
        kube.kubectl(*sink_exec(namespace, WELL_AGAIN))


@contextmanager
def sink_is_full(namespace: Namespace, broken: Caller) -> Iterator[None]:
    """The writer reads nothing, and what the server may have wait for it is full."""
    kube.kubectl(*sink_exec(namespace, STOP))
    large = Caller(broken.service, broken.port, FILLING_ROWS)

    def is_full() -> bool:
        for _ in range(100):
            large.call()
        return metric(namespace, DROPPED) > 0

    with closing(large):
        wait_until(is_full, 120, "the server never drops a row")
    yield
    kube.kubectl(*sink_exec(namespace, CONTINUE))


@pytest.mark.parametrize(
    "fault",
    [sink_is_away, *(pytest.param(each, marks=pytest.mark.long_run) for each in (sink_is_slow, sink_is_full))],
    ids=lambda each: each.__name__,
)
def test_monitor_never_hurts_serving(callers: tuple[Namespace, Caller, Caller], fault: object) -> None:
    namespace, healthy, broken = callers
    assert callable(fault)

    with fault(namespace, broken):
        ratios = [p99_ratio(healthy, broken) for _ in range(PAIRS)]

    print(f"p99 by that of a server whose sink is well: {', '.join(f'{each:.2f}' for each in ratios)}")
    assert statistics.median(ratios) <= MAX_RATIO

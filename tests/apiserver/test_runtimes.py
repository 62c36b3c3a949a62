"""Bad choices of a runtime are refused by the API server with a sentence of ours."""

from typing import Any

import pytest

from tests.apiserver.manifests import OPEN, Kubectl, manifest

pytestmark = pytest.mark.apiserver

TRITON = {"image": "nvcr.io/nvidia/tritonserver:25.08-py3"}
CUSTOM = {"image": "registry.example/server:1"}
BY_REQUESTS = {"maxReplicas": 3, "metric": "RequestsPerSecond", "target": 100}


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        pytest.param({"runtime": {}}, "give exactly one of flywheel, triton and custom", id="none"),
        pytest.param({"runtime": {"triton": TRITON, "custom": CUSTOM}}, "give exactly one of flywheel, triton and custom", id="two"),
        pytest.param({"runtime": {"triton": {}}}, "spec.runtime.triton.image: Required value", id="no image"),
        pytest.param({"runtime": {"custom": {**CUSTOM, "ports": {"http": 80}}}}, "spec.runtime.custom.ports.http", id="a port that only root may open"),
        pytest.param({"runtime": {"custom": {**CUSTOM, "ports": {"http": 9000, "grpc": 9000}}}}, "http and grpc must be different ports", id="one port for both"),
        pytest.param({"runtime": {"custom": CUSTOM}, "scaling": BY_REQUESTS}, "only the default server reports the metrics InFlight and RequestsPerSecond", id="counted by what only our server tells"),
        pytest.param({"runtime": {"triton": TRITON}, "batching": {"maxBatchSize": 8}}, "only the default server supports spec.batching", id="batching elsewhere"),
        pytest.param({"runtime": {"triton": TRITON}, "requestTimeout": "5s"}, "only the default server limits the time of a computation", id="a limit elsewhere"),
        pytest.param({"requestTimeout": "5"}, "must be an integer followed by s, m, h or d", id="a limit without a unit"),
        pytest.param({"runtime": {"triton": TRITON}, "maxBodySize": "64Mi"}, "only the default server limits the size of a request", id="a size elsewhere"),
        pytest.param({"maxBodySize": "2Gi"}, "must be a quantity between 1Ki and 1Gi", id="a body of 2 GiB"),
        pytest.param({"maxBodySize": 12}, "must be a quantity between 1Ki and 1Gi", id="a body of 12 bytes"),
        pytest.param({"maxBodySize": "large"}, "must be a quantity between 1Ki and 1Gi", id="a size that is no quantity"),
        pytest.param({"batching": {"maxLatency": "2s"}}, "must be an integer followed by us or ms, such as 500us or 5ms", id="a latency of seconds"),
        pytest.param({"runtime": {"triton": TRITON}, "auth": {}}, "only the default server authenticates callers", id="nobody would ask who calls"),
    ],
)  # fmt: skip
def test_a_bad_runtime_is_refused(installed: Kubectl, spec: dict[str, Any], sentence: str) -> None:
    answer = installed("create", "--dry-run=server", "-f", "-", stdin=manifest({"model": "fraud", **OPEN, **spec}))

    assert answer.returncode != 0
    assert sentence in answer.stderr


@pytest.mark.parametrize(
    "runtime",
    [
        pytest.param({"flywheel": {}}, id="ours"),
        pytest.param({"triton": {**TRITON, "args": ["--log-verbose=1"]}}, id="Triton"),
        pytest.param({"custom": CUSTOM}, id="an image that needs no words"),
        pytest.param({"custom": {**CUSTOM, "ports": {"grpc": 9001}}}, id="only gRPC elsewhere"),
    ],
)
def test_a_good_runtime_is_taken(installed: Kubectl, runtime: dict[str, Any]) -> None:
    spec = {"model": "fraud", "runtime": runtime, **OPEN}
    answer = installed("create", "--dry-run=server", "-f", "-", stdin=manifest(spec))

    assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize("size", ["64Mi", 1048576, "1Gi"])
def test_a_good_body_size_is_taken(installed: Kubectl, size: str | int) -> None:
    spec = {"model": "fraud", "maxBodySize": size, **OPEN}
    answer = installed("create", "--dry-run=server", "-f", "-", stdin=manifest(spec))

    assert answer.returncode == 0, answer.stderr

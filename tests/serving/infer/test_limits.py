"""Bounds on rows, bytes and work in flight hold over both transports, and a failing model fails alone."""

import json
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
from onnx import TensorProto, helper
from tritonclient.utils import InferenceServerException

from e2e.waiting import wait_until
from tests.serving.local_server import LocalServer

pytestmark = pytest.mark.integration  # each starts a model server in its own process

LONG = 1_500_000  # steps of the counting model: about two seconds


def post(server: LocalServer, model: str, name: str, values: list[int]) -> tuple[int, dict[str, Any], Any]:
    body = {"inputs": [{"name": name, "datatype": "INT64", "shape": [len(values)], "data": values}]}
    request = urllib.request.Request(f"http://{server.http}/v2/models/{model}/infer", json.dumps(body).encode())
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.load(response), response.headers
    except urllib.error.HTTPError as error:
        return error.code, json.load(error), error.headers


def infer_by_grpc(server: LocalServer, model: str, name: str, values: list[int]) -> Any:
    tensor = triton_grpc.InferInput(name, [len(values)], "INT64")
    tensor.set_data_from_numpy(np.array(values))
    return triton_grpc.InferenceServerClient(server.grpc).infer(model, [tensor])


def test_more_rows_than_the_limit_are_refused(lookup_server: LocalServer) -> None:
    assert post(lookup_server, "lookup", "index", [0, 1, 2])[1]["outputs"][0]["data"] == [1.0, 2.0, 3.0]

    status, answer, _ = post(lookup_server, "lookup", "index", [0, 1, 2, 0])

    assert status == 413
    assert answer["error"] == "input 'index': 4 rows in one request, at most 3 are accepted; send several requests"
    with pytest.raises(InferenceServerException, match=r"RESOURCE_EXHAUSTED.*4 rows in one request"):
        infer_by_grpc(lookup_server, "lookup", "index", [0, 1, 2, 0])


def test_more_bytes_than_the_limit_are_refused(lookup_server: LocalServer) -> None:
    assert post(lookup_server, "lookup", "index", [0] * 6_000)[0] == 413
    with pytest.raises(InferenceServerException, match=r"RESOURCE_EXHAUSTED.*message"):
        infer_by_grpc(lookup_server, "lookup", "index", [0] * 6_000)


def test_an_input_that_the_model_cannot_compute_fails_alone(lookup_server: LocalServer) -> None:
    status, answer, _ = post(lookup_server, "lookup", "index", [7])

    assert status == 500
    assert "the model could not compute this input" in answer["error"]
    with pytest.raises(InferenceServerException, match=r"INTERNAL.*could not compute"):
        infer_by_grpc(lookup_server, "lookup", "index", [7])
    assert post(lookup_server, "lookup", "index", [1])[0] == 200


def test_a_full_server_sends_retry_after_and_still_answers_health(counting: Path) -> None:
    flags = ("--name", "counting", "--max-in-flight", "2", "--max-queue-seconds", "60")
    with LocalServer(counting, *flags) as server, ThreadPoolExecutor(2) as pool:
        running = [pool.submit(post, server, "counting", "n", [LONG]) for _ in range(2)]
        wait_until(lambda: has_in_flight(server, 2))

        status, answer, headers = post(server, "counting", "n", [1])

        assert (status, headers["retry-after"]) == (429, "1")
        assert answer["error"] == "2 inferences are in flight, the limit; retry in a second"
        with pytest.raises(InferenceServerException, match=r"UNAVAILABLE.*2 inferences are in flight"):
            infer_by_grpc(server, "counting", "n", [1])
        # The event loop answers although both inferences are still running: a long model never blocks it.
        assert urllib.request.urlopen(f"http://{server.http}/v2/health/ready", timeout=30).status == 200
        assert not any(future.done() for future in running)
        assert [future.result()[0] for future in running] == [200, 200]


def has_in_flight(server: LocalServer, wanted: int) -> bool:
    with urllib.request.urlopen(f"http://{server.http}/metrics", timeout=30) as response:
        return f'model_infer_in_flight{{model="counting",version="1"}} {wanted}.0' in response.read().decode()


def test_a_request_whose_timeout_ends_in_the_queue_gets_504(counting: Path) -> None:
    with LocalServer(counting, "--name", "counting", "--threads", "1") as server, ThreadPoolExecutor(1) as pool:
        busy = pool.submit(post, server, "counting", "n", [LONG])  # the only call that one client may have
        wait_until(lambda: has_in_flight(server, 1))
        body = {"inputs": [{"name": "n", "datatype": "INT64", "shape": [1], "data": [1]}]}
        request = urllib.request.Request(
            f"http://{server.http}/v2/models/counting/infer",
            json.dumps(body).encode(),
            {"X-Envoy-Expected-Rq-Timeout-Ms": "20"},
        )
        with pytest.raises(urllib.error.HTTPError) as late:
            urllib.request.urlopen(request, timeout=60)
        assert late.value.code == 504
        assert "timeout of 0.02 s ended" in json.load(late.value)["error"]
        client = triton_grpc.InferenceServerClient(server.grpc)
        tensor = triton_grpc.InferInput("n", [1], "INT64")
        tensor.set_data_from_numpy(np.array([1]))
        assert busy.result()[0] == 200
        assert client.infer("counting", [tensor], timeout=60_000_000).as_numpy("counted").tolist() == [1]


def test_outputs_beyond_the_limit_are_refused_and_the_server_goes_on(table: Path) -> None:
    """In the server's own process, and in a worker."""
    for isolated in (False, True):
        flags = ("--name", "table", "--max-rows", "1000", "--max-output-bytes", "100000")
        with LocalServer(write_table(table, isolated=isolated), *flags) as server:
            assert post(server, "table", "index", [0] * 20)[0] == 200

            status, answer, _ = post(server, "table", "index", [0] * 30)

            assert status == 413
            assert answer["error"].startswith(
                "outputs: 120000 bytes in one response, at most 100000 are sent; send fewer"
            )
            with pytest.raises(InferenceServerException, match=r"RESOURCE_EXHAUSTED.*120000 bytes in one response"):
                infer_by_grpc(server, "table", "index", [0] * 30)
            assert post(server, "table", "index", [0] * 20)[0] == 200


def test_a_call_that_needs_too_much_memory_is_refused_and_the_server_goes_on(table: Path) -> None:
    """Tables of 4 MB for each row, in a container of which a model may have some hundred megabytes."""
    for isolated in (False, True):
        folder = write_table(table, isolated=isolated, columns=1_000_000)
        memory = ("--memory-bytes", str(900 * 2**20))
        with LocalServer(folder, "--name", "table", *memory) as server:
            assert post(server, "table", "index", [0])[0] == 200

            status, answer, _ = post(server, "table", "index", [0] * 400)

            assert status == 413
            assert answer["error"].startswith("the model needs more memory for this request than a call may have")
            assert post(server, "table", "index", [0])[0] == 200
            assert server.process.poll() is None


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path


def write_table(folder: Path, *, isolated: bool, columns: int = 1000) -> Path:
    """A model that returns a row of numbers for each `index` [-1]; `isolated`: an operator of it is computed in workers alone."""
    nodes = [helper.make_node("Expand", ["zeros", "one"], ["wide"])] if isolated else []
    nodes.append(helper.make_node("Gather", ["wide" if isolated else "zeros", "index"], ["value"]))
    graph = helper.make_graph(
        nodes,
        "table",
        [helper.make_tensor_value_info("index", TensorProto.INT64, [None])],
        [helper.make_tensor_value_info("value", TensorProto.FLOAT, [None, columns])],
        [
            helper.make_tensor("zeros", TensorProto.FLOAT, [1, columns], [0.0] * columns),
            helper.make_tensor("one", TensorProto.INT64, [1], [1]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    return folder

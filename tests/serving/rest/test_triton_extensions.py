"""Triton's extensions besides inference: statistics and the index of the repository."""

import json
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton

from tests.serving.local_server import LocalServer

pytestmark = pytest.mark.integration  # each starts a model server in its own process


def lookup(server: LocalServer, rows: list[int]) -> Any:
    tensor = triton.InferInput("index", [len(rows)], "INT64")
    tensor.set_data_from_numpy(np.array(rows))
    return triton.InferenceServerClient(server.http).infer("lookup", [tensor])


def test_statistics_count_requests_rows_and_failures(lookup_server: LocalServer) -> None:
    client = triton.InferenceServerClient(lookup_server.http)
    before = client.get_inference_statistics("lookup")["model_stats"][0]

    lookup(lookup_server, [0, 1, 2])
    lookup(lookup_server, [1])
    with pytest.raises(triton.InferenceServerException, match="could not compute"):
        lookup(lookup_server, [9])

    after = client.get_inference_statistics("lookup", "1")["model_stats"][0]
    assert (after["name"], after["version"]) == ("lookup", "1")
    assert after["inference_count"] - before["inference_count"] == 4
    assert after["execution_count"] - before["execution_count"] == 2
    assert after["last_inference"] > before["last_inference"]
    spent, had = after["inference_stats"], before["inference_stats"]
    assert {name: spent[name]["count"] - had[name]["count"] for name in ("success", "fail", "compute_infer")} == {
        "success": 2,
        "fail": 1,
        "compute_infer": 2,
    }
    assert spent["success"]["ns"] > spent["compute_infer"]["ns"] > had["compute_infer"]["ns"]
    assert client.get_inference_statistics()["model_stats"][0]["inference_count"] == after["inference_count"]


@pytest.mark.parametrize("name", ["lookup", ""])
def test_both_transports_have_the_same_statistics(lookup_server: LocalServer, name: str) -> None:
    lookup(lookup_server, [0])
    rpc = triton_grpc.InferenceServerClient(lookup_server.grpc).get_inference_statistics(name, as_json=True)
    rest = triton.InferenceServerClient(lookup_server.http).get_inference_statistics(name)

    told, wanted = rpc["model_stats"][0], rest["model_stats"][0]
    assert int(told["inference_count"]) == wanted["inference_count"] > 0
    assert int(told["last_inference"]) == wanted["last_inference"]
    for kind in ("success", "queue", "compute_infer"):
        assert {key: int(value) for key, value in told["inference_stats"][kind].items()} == wanted["inference_stats"][
            kind
        ]


def test_statistics_of_another_model_are_not_found(lookup_server: LocalServer) -> None:
    for client in (
        triton.InferenceServerClient(lookup_server.http),
        triton_grpc.InferenceServerClient(lookup_server.grpc),
    ):
        with pytest.raises(triton.InferenceServerException, match="model 'x' is not served here"):
            client.get_inference_statistics("x")


def test_the_index_names_the_model_and_its_state(lookup_server: LocalServer) -> None:
    index = triton.InferenceServerClient(lookup_server.http).get_model_repository_index()

    assert index == [{"name": "lookup", "version": "1", "state": "READY", "reason": ""}]


def test_the_index_of_ready_models_is_empty_while_draining(counting: Path) -> None:
    with LocalServer(counting, "--name", "counting", "--drain-seconds", "20") as server:
        server.terminate()
        server.wait_for("SIGTERM")

        assert [entry["state"] for entry in index_of(server, b"{}")] == ["UNAVAILABLE"]
        assert index_of(server, b'{"ready": true}') == []


@pytest.mark.parametrize("body", [b"[]", b'{"ready": 1}', b"{"])
def test_an_invalid_index_request_is_refused(lookup_server: LocalServer, body: bytes) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        index_of(lookup_server, body)

    assert refused.value.code == 400
    assert json.load(refused.value)["error"].startswith("body: ")


def index_of(server: LocalServer, body: bytes) -> Any:
    with urllib.request.urlopen(f"http://{server.http}/v2/repository/index", body, timeout=30) as response:
        return json.load(response)


def test_statistics_separate_the_time_in_the_queue(counting: Path) -> None:
    """More requests than there are threads, so that some wait."""
    flags = ("--name", "counting", "--threads", "1", "--max-queue-seconds", "60")
    with LocalServer(counting, *flags) as server, ThreadPoolExecutor(6) as pool:
        body = {"inputs": [{"name": "n", "datatype": "INT64", "shape": [1], "data": [200_000]}]}
        url = f"http://{server.http}/v2/models/counting/infer"
        answers = pool.map(
            lambda _: urllib.request.urlopen(url, json.dumps(body).encode(), timeout=60).status, range(6)
        )
        assert list(answers) == [200] * 6

        spent = triton.InferenceServerClient(server.http).get_inference_statistics()["model_stats"][0][
            "inference_stats"
        ]

    assert spent["queue"]["ns"] > 0
    assert spent["success"]["ns"] == spent["queue"]["ns"] + spent["compute_infer"]["ns"]

"""The key that joins late labels: how clients send it, and how an invalid one is refused."""

import json
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton

from tests.serving.local_server import LocalServer
from tests.serving.prediction_log.log_store import LogStore, Row, body, send_request, start_server, stop_server

pytestmark = pytest.mark.integration  # each starts a model server in its own process

FLIGHT = {"month": 1, "wind": 2.5, "carrier": "UA"}


def test_the_key_joins_labels_over_rest_and_grpc(logged_flights: Path, log_store: LogStore) -> None:
    with start_server(logged_flights, log_store.config_json(key="flight_id")) as server:
        send_request(server, body([(1, 2.5, "UA")], id="parameter", parameters={"flight_id": "UA-7"}))
        extra = {"name": "flight_id", "datatype": "INT64", "shape": [2], "data": [8, 9]}
        send_request(server, body([(1, 2.5, "UA"), (2, 2.5, "UA")], id="input", inputs=[extra]))
        rows = [{"flight_id": key, **FLIGHT} for key in ("UA-12", "UA-13")]
        send_request(server, json.dumps({"rows": rows, "id": "column"}).encode(), "predict")
        client = triton.InferenceServerClient(server.grpc)
        client.infer("delay", tensors("UA"), request_id="rpc-parameter", parameters={"flight_id": "UA-10"})
        client.infer("delay", [*tensors("UA"), tensor("flight_id", "UA-11")], request_id="rpc-input")
        send_request(server, body([(1, 2.5, "UA")], id="none"))
        client.close()
        stop_server(server)

    assert {(row["id"], row["key"]) for row in log_store.rows()} == {
        ("parameter", "UA-7"), ("column", "UA-12"), ("column", "UA-13"), ("input", "8"), ("input", "9"), ("rpc-parameter", "UA-10"), ("rpc-input", "UA-11"), ("none", None),
    }  # fmt: skip


def tensor(name: str, value: str | float) -> Any:
    text = isinstance(value, str)
    made = triton.InferInput(name, [1, 1], "BYTES" if text else "FP32")
    made.set_data_from_numpy(np.array([[value]], object if text else np.float32))
    return made


def tensors(carrier: str) -> list[Any]:
    return [tensor("month", 1.0), tensor("wind", 2.5), tensor("carrier", carrier)]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        pytest.param({"parameters": {"flight_id": 1.5}}, "parameters.flight_id: wanted text or a whole number", id="a fraction"),
        pytest.param({"parameters": {"flight_id": {"a": 1}}}, "parameters.flight_id: wanted text or a whole number", id="an object"),
        pytest.param({"inputs": [{"name": "flight_id", "datatype": "FP32", "shape": [1], "data": [1]}]}, "'flight_id': wanted BYTES or whole numbers", id="a tensor of fractions"),
        pytest.param({"inputs": [{"name": "flight_id", "datatype": "INT64", "shape": [3], "data": [1, 2, 3]}]}, "3 keys for 1 rows", id="too many"),
        pytest.param({"inputs": [{"name": "flight", "datatype": "INT64", "shape": [1], "data": [1]}]}, "unknown 'flight'", id="another name"),
    ],
)  # fmt: skip
def test_a_key_that_cannot_join_is_refused(more: Row, words: str, keyed_server: LocalServer) -> None:
    with pytest.raises(urllib.error.HTTPError) as refusal:
        send_request(keyed_server, body([(1, 2.5, "UA")], **more))

    assert refusal.value.code == 400
    assert words in json.load(refusal.value)["error"]


@pytest.fixture(scope="module")
def keyed_server(logged_flights: Path) -> Iterator[LocalServer]:
    config_json = {"sample": 1.0, "service": "delay", "namespace": "shop", "key": "flight_id", "store": "/nowhere", "drain_seconds": 0.5}  # fmt: skip
    with start_server(logged_flights, json.dumps(config_json)) as server:
        yield server

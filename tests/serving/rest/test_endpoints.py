"""REST routes: paths, methods, errors that name the field, the page, metrics."""

import json
import shlex
from typing import Any

import pytest

from tests.serving.local_server import LocalServer
from tests.serving.rest.rest_client import INFER, infer, send_request

pytestmark = pytest.mark.integration  # each starts a model server in its own process

MONTH = {"name": "month", "datatype": "INT64", "shape": [1], "data": [8]}
WIND = {"name": "wind", "datatype": "FP64", "shape": [1, 1], "data": [[9.5]]}
CARRIER = {"name": "carrier", "datatype": "BYTES", "shape": [1], "data": ["UA"]}


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/v2/health/live", {"live": True}),
        ("/v2/health/ready", {"ready": True}),
        ("/v2/models", {"models": ["flight-delay"]}),
        ("/v2/models/flight-delay/ready", {"ready": True}),
        ("/v2/models/flight-delay/versions/v1/ready", {"ready": True}),
        ("/v2/models/flight%2Ddelay/ready?verbose=1", {"ready": True}),
    ],
)
def test_paths_answer(flight_server: LocalServer, path: str, answer: dict[str, Any]) -> None:
    assert send_request(flight_server, path)[:2] == (200, answer)


@pytest.mark.parametrize("version", ["", "/versions/v1"], ids=["any version", "this version"])
def test_outputs_keep_their_order_and_the_id(flight_server: LocalServer, version: str) -> None:
    body = json.dumps({"id": "a", "inputs": [MONTH, WIND, CARRIER]}).encode()

    status, answer, _ = send_request(flight_server, f"/v2/models/flight-delay{version}/infer", body)

    assert status == 200
    assert (answer["id"], answer["model_name"], answer["model_version"]) == ("a", "flight-delay", "v1")
    assert [(o["name"], o["datatype"], o["shape"]) for o in answer["outputs"]] == [
        ("label", "INT64", [1]),
        ("probabilities", "FP32", [1, 2]),
    ]


def test_a_missing_value_is_null(flight_server: LocalServer) -> None:
    status, answer = infer(flight_server, MONTH, WIND | {"shape": [1], "data": [None]}, CARRIER)

    assert status == 200
    assert answer["outputs"][0]["data"] == [1]


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        pytest.param({"name": "moon"}, "inputs: missing 'month'", id="a wrong name"),
        pytest.param({"name": 3}, "inputs[0].name: wanted text, found 3", id="a name that is a number"),
        pytest.param({"datatype": "FLOAT"}, "'month': datatype: wanted one of", id="an unknown datatype"),
        pytest.param({"datatype": "BYTES", "data": ["8"]}, "'month': wanted FP32, text", id="text for a number"),
        pytest.param({"shape": [1, 2], "data": [8, 9]}, "wanted shape [-1, 1], found [1, 2]", id="a wrong shape"),
        pytest.param({"shape": "1"}, "'month': shape: wanted", id="a shape that is text"),
        pytest.param({"shape": [2**40], "data": []}, "'month': shape: wanted", id="an absurd shape"),
        pytest.param({"shape": [2]}, "shape [2] needs 2 values, found 1", id="fewer values than the shape says"),
        pytest.param({"shape": [2], "data": [1, 2]}, "'wind': 1 rows, but input 'month' has 2", id="rows differ"),
        pytest.param({"shape": [0], "data": []}, "holds no value; send at least one row", id="no row"),
        pytest.param({"data": ["8"]}, "'month': wanted numbers, found text at position 0", id="a number as text"),
        pytest.param({"data": [[[8]]]}, "'month': wanted numbers, found a list", id="data deeper than the shape"),
        pytest.param({"data": None}, "'month': data must be a list, found null", id="no data"),
        pytest.param({"data": [2**24 + 1]}, "wanted FP32, the value 16777217 cannot", id="an integer FP32 rounds"),
        pytest.param({"parameters": {"shared_memory_region": "a"}}, "shared memory is not", id="shared memory"),
    ],
)
def test_a_wrong_input_is_named(flight_server: LocalServer, change: dict[str, Any], finding: str) -> None:
    status, answer = infer(flight_server, MONTH | change, WIND, CARRIER)

    assert status == 400
    assert finding in answer["error"]


@pytest.mark.parametrize(
    ("body", "finding"),
    [
        pytest.param(b"", "body: not valid JSON", id="no body"),
        pytest.param(b"[" * 1_000_000, "body: not valid JSON: depth limit", id="a million brackets"),
        pytest.param(b'{"inputs": [\xff]}', "body: not valid JSON", id="not UTF-8"),
        pytest.param(b'{"inputs": [NaN]}', "body: not valid JSON", id="NaN"),
        pytest.param(b"[]", "body: wanted a JSON object", id="a list"),
        pytest.param(b"{}", "inputs: wanted a list of tensors, found none", id="no inputs"),
        pytest.param(b'{"inputs": {"month": 1}}', "inputs: wanted a list", id="inputs as an object"),
        pytest.param(b'{"inputs": [1]}', "inputs[0]: wanted an object", id="an input that is a number"),
        pytest.param(b'{"id": 1, "inputs": [1]}', "id: wanted text, found 1", id="an id that is a number"),
    ],
)
def test_a_body_that_is_no_request_is_refused(flight_server: LocalServer, body: bytes, finding: str) -> None:
    status, answer, _ = send_request(flight_server, INFER, body)

    assert status == 400
    assert finding in answer["error"]


@pytest.mark.parametrize(
    ("outputs", "finding"),
    [
        pytest.param([{"name": "labels"}], "outputs: unknown 'labels'; the model has 'label'", id="unknown"),
        pytest.param(["label"], "outputs[0]: wanted an object with a name", id="a bare name"),
        pytest.param(
            [{"name": "label", "parameters": {"classification": 2}}], "classification: not supported", id="classes"
        ),
    ],
)
def test_a_wrong_output_is_named(flight_server: LocalServer, outputs: list[Any], finding: str) -> None:
    status, answer = infer(flight_server, MONTH, WIND, CARRIER, outputs=outputs)

    assert status == 400
    assert finding in answer["error"]


@pytest.mark.parametrize(
    ("inputs", "finding"),
    [
        pytest.param([MONTH, WIND], "inputs: missing 'carrier'", id="missing"),
        pytest.param([MONTH, WIND, CARRIER, WIND | {"name": "x"}], "inputs: unknown 'x'", id="extra"),
        pytest.param([MONTH, MONTH, CARRIER], "inputs[1].name: 'month' is given twice", id="twice"),
    ],
)
def test_the_set_of_inputs_must_fit(flight_server: LocalServer, inputs: list[Any], finding: str) -> None:
    status, answer = infer(flight_server, *inputs)

    assert status == 400
    assert finding in answer["error"]


@pytest.mark.parametrize(
    ("size", "length", "finding"),
    [
        pytest.param(8, None, "binary_data_size is 8, but 4 bytes are left", id="more than there is"),
        pytest.param(3, None, "shape [1] of INT64 needs 8 bytes, found 3", id="not the shape's size"),
        pytest.param(-1, None, "binary_data_size must be a whole number of 0 or more", id="negative"),
        pytest.param(8, "9999", "found 9999 for a body of", id="header beyond the body"),
        pytest.param(8, "0", "found 0 for a body of", id="header is zero"),
        pytest.param(8, "ten", "wanted a whole number, found b'ten'", id="header is a word"),
    ],
)
def test_wrong_binary_sizes_are_refused(
    flight_server: LocalServer, size: int, length: str | None, finding: str
) -> None:
    month = {"name": "month", "datatype": "INT64", "shape": [1], "parameters": {"binary_data_size": size}}
    head = json.dumps({"inputs": [month, WIND, CARRIER]}).encode()

    status, answer, _ = send_request(
        flight_server, INFER, head + b"\0" * 4, Inference_Header_Content_Length=length or str(len(head))
    )

    assert status == 400
    assert finding in answer["error"]


def test_bytes_that_belong_to_no_input_are_refused(flight_server: LocalServer) -> None:
    head = json.dumps({"inputs": [MONTH, WIND, CARRIER]}).encode()

    status, answer, _ = send_request(flight_server, INFER, head + b"\0", Inference_Header_Content_Length=str(len(head)))

    assert status == 400
    assert "1 bytes follow the JSON part" in answer["error"]


@pytest.mark.parametrize(
    ("path", "finding"),
    [
        ("/v2/models/other", "model 'other' is not served here; this server has 'flight-delay'"),
        ("/v2/models/flight-delay/versions/9/ready", "version '9' of model 'flight-delay' is not served here"),
        ("/v3", "path '/v3' does not exist; GET / describes this server"),
        ("/v2/models/flight-delay/nothing", "does not exist"),
    ],
)
def test_an_unknown_path_is_404(flight_server: LocalServer, path: str, finding: str) -> None:
    status, answer, _ = send_request(flight_server, path)

    assert status == 404
    assert finding in answer["error"]


def test_a_wrong_method_gets_the_allowed_ones(flight_server: LocalServer) -> None:
    status, answer, headers = send_request(flight_server, INFER)

    assert (status, headers["allow"]) == (405, "POST")
    assert answer["error"] == "method GET is not allowed here; use POST"
    assert send_request(flight_server, "/v2", b"{}")[2]["allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    ("headers", "finding"),
    [
        pytest.param({"Content_Encoding": "gzip"}, "'content-encoding': b'gzip' is not supported", id="encoding"),
        pytest.param(
            {"Content_Type": "application/xml"}, "wanted application/json, found 'application/xml'", id="type"
        ),
    ],
)
def test_other_encodings_are_415(flight_server: LocalServer, headers: dict[str, str], finding: str) -> None:
    status, answer, _ = send_request(flight_server, INFER, b"{}", **headers)

    assert status == 415
    assert finding in answer["error"]


def test_the_curl_of_the_page_works(flight_server: LocalServer) -> None:
    _, page, _ = send_request(flight_server, "/")
    command = shlex.split(next(line for line in page.splitlines() if line.startswith("curl")))

    url, body = command[1], command[command.index("-d") + 1]

    assert url == f"http://{flight_server.http}{INFER}"
    assert send_request(flight_server, INFER, body.encode())[0] == 200
    assert "predicts 'late'" in page
    lines = page.splitlines()
    three = next(index for index, line in enumerate(lines) if "/predict" in line)
    rows = shlex.split(" ".join(line.removesuffix("\\") for line in lines[three : three + 3]))
    predicted = send_request(flight_server, "/v2/models/flight-delay/predict", rows[rows.index("-d") + 1].encode())
    assert predicted[0] == 200
    links = [line.split()[-1] for line in page.splitlines() if line.startswith(("OpenAPI", "Metadata", "Statistics"))]
    assert [send_request(flight_server, link)[0] for link in links] == [200, 200, 200]


def test_metrics_count_requests(echo_server: LocalServer) -> None:
    def sample(name: str) -> float:
        _, text, _ = send_request(echo_server, "/metrics")
        return next((float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name)), 0.0)

    refused = 'rest_server_requests_total{method="POST",path="/v2/models/{model}/infer",status_code="400"}'
    unknown = 'rest_server_requests_total{method="GET",path="(no route)",status_code="404"}'
    failures = 'model_infer_request_failure_total{model="echo",version="1"}'
    before = [sample(name) for name in (refused, unknown, failures)]

    body = {"inputs": [{"name": "int8", "datatype": "INT8", "shape": [1, 2], "data": [1, 2]}]}
    send_request(echo_server, "/v2/models/echo/infer", json.dumps(body).encode())
    send_request(echo_server, "/made/up")

    assert [sample(name) for name in (refused, unknown, failures)] == [value + 1 for value in before]
    assert sample('model_infer_in_flight{model="echo",version="1"}') == 0

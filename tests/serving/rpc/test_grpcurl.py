"""grpcurl, a client in Go, against the gRPC port with the protocol's own .proto files."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

import flywheel_serving
from e2e.cluster import golang
from tests.serving.local_server import LocalServer

pytestmark = pytest.mark.integration  # a model server, and a program built with Go

PROTOCOL = Path(flywheel_serving.__file__).parent / "protocol"
SERVICE = "inference.GRPCInferenceService"
ROW = {
    "model_name": "flight-delay",
    "id": "42",
    "inputs": [
        {"name": "month", "datatype": "INT32", "shape": [1], "contents": {"int_contents": [8]}},
        {"name": "wind", "datatype": "FP64", "shape": [1], "contents": {"fp64_contents": [9.5]}},
        {"name": "carrier", "datatype": "BYTES", "shape": [1], "contents": {"bytes_contents": ["VUE="]}},  # UA
    ],
}


def grpcurl(server: LocalServer, method: str, message: Any, *flags: str) -> tuple[int, str]:
    """The exit code, 64 and more for a gRPC status, and the output."""
    protos = ("-import-path", str(PROTOCOL), "-proto", "open_inference.proto", "-proto", "health.proto")
    words = [
        str(golang.build(golang.GRPCURL)),
        "-plaintext",
        *protos,
        *flags,
        "-d",
        json.dumps(message),
        server.grpc,
        method,
    ]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout or done.stderr


def call_method(server: LocalServer, method: str, message: Any) -> Any:
    code, printed = grpcurl(server, method, message)
    assert code == 0, printed
    return json.loads(printed)


def test_health(flight_server: LocalServer) -> None:
    assert call_method(flight_server, "grpc.health.v1.Health/Check", {}) == {"status": "SERVING"}
    assert call_method(flight_server, f"{SERVICE}/ServerLive", {}) == {"live": True}
    assert call_method(flight_server, f"{SERVICE}/ServerReady", {}) == {"ready": True}
    assert call_method(flight_server, f"{SERVICE}/ModelReady", {"name": "flight-delay", "version": "v1"}) == {
        "ready": True
    }


def test_metadata(flight_server: LocalServer) -> None:
    assert call_method(flight_server, f"{SERVICE}/ServerMetadata", {})["name"] == "flywheel-serving"
    metadata = call_method(flight_server, f"{SERVICE}/ModelMetadata", {"name": "flight-delay"})
    assert metadata["platform"] == "onnx_onnxv1"
    assert [tensor["name"] for tensor in metadata["inputs"]] == ["month", "wind", "carrier"]


def test_inference(flight_server: LocalServer) -> None:
    found = call_method(flight_server, f"{SERVICE}/ModelInfer", ROW)

    assert (found["modelName"], found["modelVersion"], found["id"]) == ("flight-delay", "v1", "42")
    label, probabilities = found["outputs"]
    assert label == {"name": "label", "datatype": "INT64", "shape": ["1"], "contents": {"int64Contents": ["1"]}}
    assert sum(probabilities["contents"]["fp32Contents"]) == pytest.approx(1)


@pytest.mark.parametrize(
    ("method", "message", "code", "finding"),
    [
        pytest.param("ModelInfer", ROW | {"model_name": "x"}, "NotFound", "model 'x' is not served here", id="model"),
        pytest.param(
            "ModelInfer", ROW | {"inputs": []}, "InvalidArgument", "wanted at least one tensor", id="no input"
        ),
        pytest.param("ModelReady", {"name": "flight-delay", "version": "9"}, "NotFound", "version '9'", id="version"),
    ],
)
def test_an_error_has_its_status_code_and_a_message(
    flight_server: LocalServer, method: str, message: Any, code: str, finding: str
) -> None:
    exit_code, printed = grpcurl(flight_server, f"{SERVICE}/{method}", message)

    assert exit_code > 64
    assert f"Code: {code}" in printed
    assert finding in printed


def test_without_the_proto_files_the_error_names_reflection(flight_server: LocalServer) -> None:
    """There is no reflection (operator/decisions/0011), and the error says so."""
    words = [str(golang.build(golang.GRPCURL)), "-plaintext", flight_server.grpc, "list"]

    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)

    assert "server does not support the reflection API" in done.stderr

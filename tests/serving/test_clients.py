"""tritonclient, unchanged, over HTTP and gRPC, blocking and async, against a server in its own process."""

from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.grpc.aio as grpc_aio
import tritonclient.http as triton_http
import tritonclient.http.aio as http_aio
from tritonclient.utils import InferenceServerException

from flywheel_serving.model.datatypes import DTYPES
from flywheel_serving.protocol import health_pb2 as health
from flywheel_serving.protocol import open_inference_pb2 as pb
from tests.serving.async_client import Blocking
from tests.serving.local_server import LocalServer

pytestmark = pytest.mark.integration  # each starts a model server in its own process

NAME = "flight-delay"
ROWS = {"month": np.array([[8], [2]]), "wind": np.array([[9.5], [20.0]]), "carrier": np.array([["UA"], ["DL"]], object)}
TYPES = {"month": ("INT64", np.int64), "wind": ("FP64", np.float64), "carrier": ("BYTES", object)}
VALUES: dict[str, Any] = {
    name: np.array([["", "é\0x"], ["a" * 300, "b"]], object)
    if name == "BYTES"
    else np.array([[0, 1], [1, 0]], DTYPES[name])
    for name in DTYPES
}


def columns(kind: Any, **options: bool) -> list[Any]:
    made = []
    for name, values in ROWS.items():
        datatype, dtype = TYPES[name]
        tensor = kind.InferInput(name, list(values.shape), datatype)
        tensor.set_data_from_numpy(values.astype(dtype), **options)
        made.append(tensor)
    return made


@pytest.fixture(params=["http", "grpc", "http, async", "grpc, async"])
def triton(request: pytest.FixtureRequest, flight_server: LocalServer) -> tuple[Any, Any]:
    """(client, the module of its tensors) for each transport and kind."""
    http, rpc = flight_server.http, flight_server.grpc
    match request.param:
        case "http":
            return triton_http.InferenceServerClient(http), triton_http
        case "grpc":
            return triton_grpc.InferenceServerClient(rpc), triton_grpc
        case "http, async":
            return Blocking(lambda: http_aio.InferenceServerClient(http)), triton_http
    return Blocking(lambda: grpc_aio.InferenceServerClient(rpc)), triton_grpc


def test_named_outputs_are_returned(triton: tuple[Any, Any]) -> None:
    client, module = triton

    result = client.infer(NAME, columns(module), request_id="42")

    assert result.as_numpy("label").tolist() == [1, 1]
    np.testing.assert_allclose(result.as_numpy("probabilities").sum(axis=1), [1, 1], rtol=1e-6)
    response = result.get_response()
    assert (response["id"] if isinstance(response, dict) else response.id) == "42"


def test_both_transports_and_both_encodings_agree(flight_server: LocalServer) -> None:
    http = triton_http.InferenceServerClient(flight_server.http)
    rpc = triton_grpc.InferenceServerClient(flight_server.grpc)
    as_json = [triton_http.InferRequestedOutput("probabilities", binary_data=False)]

    answers = [
        http.infer(NAME, columns(triton_http)),
        http.infer(NAME, columns(triton_http, binary_data=False), outputs=as_json),
        rpc.infer(NAME, columns(triton_grpc)),
    ]

    first, *others = [answer.as_numpy("probabilities") for answer in answers]
    for other in others:
        np.testing.assert_allclose(other, first, rtol=1e-6)


def test_only_requested_outputs_come(triton: tuple[Any, Any]) -> None:
    client, module = triton

    result = client.infer(NAME, columns(module), outputs=[module.InferRequestedOutput("label")])

    assert result.as_numpy("label") is not None
    assert result.as_numpy("probabilities") is None


def test_health_and_metadata(triton: tuple[Any, Any]) -> None:
    client, module = triton

    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(NAME)
    assert client.is_model_ready(NAME, "v1")
    options = {"as_json": True} if module is triton_grpc else {}
    assert client.get_server_metadata(**options)["extensions"] == ["binary_tensor_data", "statistics"]
    metadata = client.get_model_metadata(NAME, "v1", **options)
    assert metadata["platform"] == "onnx_onnxv1"
    assert metadata["versions"] == ["v1"]
    assert [(t["name"], t["datatype"]) for t in metadata["inputs"]] == [
        ("month", "FP32"),
        ("wind", "FP32"),
        ("carrier", "BYTES"),
    ]


@pytest.mark.parametrize(
    ("model", "version", "finding"),
    [
        pytest.param("other", "", "model 'other' is not served here; this server has 'flight-delay'", id="model"),
        pytest.param(NAME, "v9", "version 'v9' of model 'flight-delay' is not served here", id="version"),
    ],
)
def test_an_unknown_model_or_version_is_named(triton: tuple[Any, Any], model: str, version: str, finding: str) -> None:
    client, module = triton

    with pytest.raises(InferenceServerException, match=finding):
        client.infer(model, columns(module), model_version=version)


def test_a_missing_column_is_named(triton: tuple[Any, Any]) -> None:
    client, module = triton

    with pytest.raises(InferenceServerException, match="missing 'wind'"):
        client.infer(NAME, [tensor for tensor in columns(module) if tensor.name() != "wind"])


@pytest.mark.parametrize("binary", [True, False], ids=["binary", "JSON"])
@pytest.mark.parametrize("datatype", list(DTYPES))
def test_every_datatype_comes_back_over_http(echo_server: LocalServer, datatype: str, binary: bool) -> None:
    client = triton_http.InferenceServerClient(echo_server.http)
    output = triton_http.InferRequestedOutput(f"{datatype.lower()}_out", binary_data=binary)

    result = client.infer("echo", all_inputs(triton_http, binary_data=binary or None), outputs=[output])

    assert_same(result.as_numpy(f"{datatype.lower()}_out"), VALUES[datatype])


@pytest.mark.parametrize("datatype", list(DTYPES))
def test_every_datatype_comes_back_over_grpc(echo_server: LocalServer, datatype: str) -> None:
    client = triton_grpc.InferenceServerClient(echo_server.grpc)

    result = client.infer("echo", all_inputs(triton_grpc))

    assert_same(result.as_numpy(f"{datatype.lower()}_out"), VALUES[datatype])


def all_inputs(module: Any, binary_data: bool | None = None) -> list[Any]:
    made = []
    for name, values in VALUES.items():
        tensor = module.InferInput(name.lower(), [2, 2], name)
        options = {} if module is triton_grpc or name == "FP16" else {"binary_data": bool(binary_data)}
        tensor.set_data_from_numpy(values, **options)
        made.append(tensor)
    return made


def assert_same(found: Any, wanted: Any) -> None:
    if wanted.dtype == np.dtype(object):
        texts = [value.decode() if isinstance(value, bytes) else value for value in found.ravel()]
        assert texts == wanted.ravel().tolist()
    else:
        np.testing.assert_array_equal(found, wanted)


def call(server: LocalServer, method: str, request: Any, answer: Any, timeout: float = 10) -> Any:
    with grpc.insecure_channel(server.grpc) as channel:
        rpc = channel.unary_unary(method, lambda message: message.SerializeToString(), answer.FromString)
        return rpc(request, timeout=timeout)


INFER = "/inference.GRPCInferenceService/ModelInfer"
CHECK = "/grpc.health.v1.Health/Check"


def typed_request() -> pb.ModelInferRequest:
    request = pb.ModelInferRequest(model_name=NAME)
    month = request.inputs.add(name="month", datatype="INT32", shape=[1])
    month.contents.int_contents.append(8)
    wind = request.inputs.add(name="wind", datatype="FP64", shape=[1])
    wind.contents.fp64_contents.append(9.5)
    carrier = request.inputs.add(name="carrier", datatype="BYTES", shape=[1])
    carrier.contents.bytes_contents.append(b"UA")
    return request


def test_typed_requests_get_typed_responses(flight_server: LocalServer) -> None:
    answer = call(flight_server, INFER, typed_request(), pb.ModelInferResponse)

    assert list(answer.outputs[0].contents.int64_contents) == [1]
    assert len(answer.outputs[1].contents.fp32_contents) == 2
    assert not answer.raw_output_contents


def too_few(request: pb.ModelInferRequest) -> None:
    request.inputs[0].shape[0] = 2


def mix_raw_and_typed(request: pb.ModelInferRequest) -> None:
    request.raw_input_contents.extend([b"\0" * 4, b"\0" * 8, b""])


def drop_one_raw(request: pb.ModelInferRequest) -> None:
    request.raw_input_contents.append(b"")


def negative_shape(request: pb.ModelInferRequest) -> None:
    request.inputs[0].shape[0] = -1


def unknown_datatype(request: pb.ModelInferRequest) -> None:
    request.inputs[0].datatype = "FP128"


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        pytest.param(too_few, "'month': shape .2. needs 2 values in contents.int_contents, found 1", id="too few"),
        pytest.param(mix_raw_and_typed, "'month': contents and raw_input_contents are both given", id="both contents"),
        pytest.param(drop_one_raw, "wanted one for each of 3 inputs, found 1", id="one raw for three inputs"),
        pytest.param(negative_shape, "'month': shape: wanted", id="negative shape"),
        pytest.param(unknown_datatype, "'month': datatype: wanted one of", id="unknown datatype"),
    ],
)
def test_a_wrong_message_is_an_invalid_argument(flight_server: LocalServer, change: Any, finding: str) -> None:
    request = typed_request()
    change(request)

    with pytest.raises(grpc.RpcError, match=finding) as caught:
        call(flight_server, INFER, request, pb.ModelInferResponse)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_health_is_serving_and_an_unknown_service_is_not_found(flight_server: LocalServer) -> None:
    for service in ("", "inference.GRPCInferenceService"):
        answer = call(flight_server, CHECK, health.HealthCheckRequest(service=service), health.HealthCheckResponse)
        assert answer.status == health.HealthCheckResponse.SERVING

    with pytest.raises(grpc.RpcError) as caught:
        call(flight_server, CHECK, health.HealthCheckRequest(service="x"), health.HealthCheckResponse)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_health_can_be_watched(flight_server: LocalServer) -> None:
    with grpc.insecure_channel(flight_server.grpc) as channel:
        watch = channel.unary_stream(
            "/grpc.health.v1.Health/Watch",
            lambda message: message.SerializeToString(),
            health.HealthCheckResponse.FromString,
        )
        stream = watch(health.HealthCheckRequest(), timeout=10)
        assert next(stream).status == health.HealthCheckResponse.SERVING
        stream.cancel()

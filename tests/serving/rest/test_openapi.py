"""The OpenAPI description is complete, correct, and has a working example."""

import json
import urllib.request
from typing import Any

import orjson
import pytest

from flywheel_serving.model.signature import Signature, TensorSpec
from flywheel_serving.rest import openapi
from tests.serving.local_server import LocalServer

FLIGHTS = "/v2/models/flight-delay"


def get(server: LocalServer, path: str) -> Any:
    with urllib.request.urlopen(f"http://{server.http}{path}", timeout=30) as response:
        return json.load(response)


@pytest.fixture(params=["flight_server", "echo_server"])
def described(request: pytest.FixtureRequest) -> tuple[LocalServer, dict[str, Any]]:
    """A server and its description."""
    server: LocalServer = request.getfixturevalue(request.param)
    return server, get(server, "/openapi.json")


@pytest.mark.integration
def test_the_example_is_answered(described: tuple[LocalServer, dict[str, Any]]) -> None:
    server, document = described
    paths = {path: item["post"] for path, item in document["paths"].items() if path.endswith("/infer")}
    assert len(paths) == 2
    for path, operation in paths.items():
        example = operation["requestBody"]["content"]["application/json"]["examples"]["works"]["value"]

        request = urllib.request.Request(f"http://{server.http}{path}", json.dumps(example).encode())

        with urllib.request.urlopen(request, timeout=30) as response:
            assert json.load(response)["outputs"]


@pytest.mark.integration
def test_every_path_is_described(described: tuple[LocalServer, dict[str, Any]]) -> None:
    server, document = described
    paths = [path for path, item in document["paths"].items() if "get" in item]
    assert len(paths) == 15
    for path in paths:
        with urllib.request.urlopen(f"http://{server.http}{path}", timeout=30) as response:
            assert response.status == 200


@pytest.mark.integration
def test_the_description_is_served_at_all_its_paths(flight_server: LocalServer) -> None:
    documents = [
        get(flight_server, path)
        for path in ("/openapi.json", f"{FLIGHTS}/openapi.json", f"{FLIGHTS}/versions/v1/openapi.json")
    ]

    assert documents[0] == documents[1] == documents[2]
    assert documents[0]["openapi"] == "3.1.0"
    assert documents[0]["info"] == {
        "title": "flight-delay",
        "version": "v1",
        "description": "Task: Classification, predicts 'late'. "
        "Serves the Open Inference Protocol v2; -1 in a shape is any length.",
    }


@pytest.mark.integration
def test_it_names_the_tensors(flight_server: LocalServer) -> None:
    schemas = get(flight_server, "/openapi.json")["components"]["schemas"]

    kinds = schemas["Request"]["properties"]["inputs"]["items"]["anyOf"]
    assert [kind["properties"]["name"]["enum"] for kind in kinds] == [["month", "wind"], ["carrier"]]
    outputs = schemas["Response"]["properties"]["outputs"]["items"]["anyOf"]
    assert [(kind["properties"]["name"]["enum"], kind["properties"]["datatype"]["const"]) for kind in outputs] == [
        (["label"], "INT64"),
        (["probabilities"], "FP32"),
    ]


def test_a_wide_model_has_a_short_description() -> None:
    features = tuple(TensorSpec(f"feature_{at}", "FP32", (-1, 1)) for at in range(1_000))

    schemas = orjson.loads(openapi.TEMPLATE.read_bytes())["document"]["components"]["schemas"]

    openapi.add_tensors(schemas, Signature(features, (TensorSpec("y", "FP32", (-1,)),)))

    assert len(schemas["Request"]["properties"]["inputs"]["items"]["anyOf"]) == 1
    assert len(orjson.dumps(schemas["Request"])) < 100_000

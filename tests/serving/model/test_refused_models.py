"""Model files that can never be served end the start with 2 and a reason; later changes of the file do no harm."""

import json
import os
import pickle
import shutil
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
from onnx import TensorProto, helper

from tests.serving.local_server import LocalServer

pytestmark = pytest.mark.integration  # each starts a model server in its own process


def floats(*names: str) -> list[Any]:
    return [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1]) for name in names]


def model(nodes: list[Any], outputs: list[Any], constants: list[Any] | None = None, opset: int = 17) -> bytes:
    graph = helper.make_graph(nodes, "g", floats("x"), outputs, constants or [])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    data: bytes = made.SerializeToString()
    return data


def outside() -> bytes:
    weight = helper.make_tensor("w", TensorProto.FLOAT, [1], [0.0])
    weight.ClearField("float_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="../../../../etc/passwd")
    return model([helper.make_node("Add", ["x", "w"], ["y"])], floats("y"), [weight])


class RunsCode:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch pickle-was-run",)


IDENTITY = [helper.make_node("Identity", ["x"], ["y"])]
GOOD = model(IDENTITY, floats("y"))
DAMAGED_INSIDE = GOOD.replace(b"\x12\x01y", b"\x12\x7fy", 1)  # the node's output, longer than the graph


@pytest.mark.parametrize(
    ("content", "reason", "finding"),
    [
        pytest.param(pickle.dumps(RunsCode()), "NotONNX", "a Python pickle, which runs code", id="a pickle"),
        pytest.param(GOOD[:-20], "ModelTruncated", "upload it again", id="truncated"),
        pytest.param(DAMAGED_INSIDE, "ModelTruncated", "damaged inside; upload it again", id="damaged inside"),
        pytest.param(outside(), "ExternalData", "stores weights in other files", id="external data"),
        pytest.param(model(IDENTITY, floats("y"), opset=999), "ModelNotLoadable", "opset", id="an opset too new"),
        pytest.param(model(IDENTITY, []), "NoTensors", "has no outputs", id="no outputs"),
        pytest.param(b"", "NotONNX", "is empty", id="an empty file"),
    ],
)
def test_a_file_that_can_never_be_served_ends_the_start(
    tmp_path: Path, content: bytes, reason: str, finding: str
) -> None:
    (tmp_path / "model.onnx").write_bytes(content)

    server = LocalServer(tmp_path)

    assert server.wait() == 2
    with pytest.raises(RuntimeError, match="ended before"):
        server.wait_for("ready")
    assert server.log[-1]["reason"] == reason
    assert finding in server.log[-1]["message"]
    assert not list(Path().glob("pickle-was-run"))


def send_request(server: LocalServer, path: str, body: bytes | None = None) -> bytes:
    with urllib.request.urlopen(f"http://{server.http}{path}", body, timeout=30) as response:
        content: bytes = response.read()
        return content


def test_a_model_whose_files_were_deleted_is_still_served(flights: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(flights, tmp_path / "model"))
    with LocalServer(folder, "--name", "flight-delay", "--drain-seconds", "0") as server:
        shutil.rmtree(folder)

        example = json.loads(send_request(server, "/openapi.json"))["paths"]["/v2/models/flight-delay/infer"]["post"]
        request = example["requestBody"]["content"]["application/json"]["examples"]["works"]["value"]
        assert json.loads(send_request(server, "/v2/models/flight-delay/infer", json.dumps(request).encode()))[
            "outputs"
        ]
        assert json.loads(send_request(server, "/v2/health/ready")) == {"ready": True}
        assert b"predicts 'late'" in send_request(server, "/")
        server.terminate()
        assert server.wait() == 0


JUMPING = """
import itertools, time
real, steps = time.time, itertools.cycle((0, 86_400, -86_400, 3_600, -1e9, 1e9))
time.time = lambda: real() + next(steps)
time.time_ns = lambda: int(time.time() * 1e9)
"""


@pytest.fixture
def jumping_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., LocalServer]:
    """Servers whose wall clock returns another time at each call."""
    (tmp_path / "sitecustomize.py").write_text(JUMPING)
    monkeypatch.syspath_prepend(str(tmp_path))
    return LocalServer


def test_a_clock_that_jumps_changes_no_answer(lookup: Path, jumping_clock: Callable[..., LocalServer]) -> None:
    with jumping_clock(lookup, "--name", "lookup", "--drain-seconds", "0") as server:
        body = {"inputs": [{"name": "index", "datatype": "INT64", "shape": [1], "data": [2]}]}
        tensor = triton_grpc.InferInput("index", [1], "INT64")
        tensor.set_data_from_numpy(np.array([2]))
        client = triton_grpc.InferenceServerClient(server.grpc)
        seen = set()
        for _ in range(12):
            answer = json.loads(send_request(server, "/v2/models/lookup/infer", json.dumps(body).encode()))
            assert answer["outputs"][0]["data"] == [3.0]
            assert client.infer("lookup", [tensor], client_timeout=20).as_numpy("value").tolist() == [3.0]
            seen.add(json.loads(send_request(server, "/v2/models/stats"))["model_stats"][0]["last_inference"])
        assert max(seen) - min(seen) > 1_000_000_000  # milliseconds: the clock did jump
        assert json.loads(send_request(server, "/v2/health/ready")) == {"ready": True}
        server.terminate()
        assert server.wait() == 0

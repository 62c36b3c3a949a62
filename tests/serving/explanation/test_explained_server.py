"""A server explains what it answers in another process, and answers whatever happens to that process."""

import json
import os
import shutil
import signal
import time
import urllib.request
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from e2e.onnx_models import columns
from e2e.waiting import wait_until
from flywheel_serving.protocol import open_inference_pb2 as pb
from tests.serving.explanation.explained_server import explained_server
from tests.serving.local_server import LocalServer
from tests.serving.prediction_log.log_store import LogStore, body, metric, send_request, stop_server

pytestmark = pytest.mark.integration  # each starts a model server in its own process

ROW = (9, 16.5, "UA")


def ask(server: LocalServer, content: bytes, method: str = "infer") -> dict[str, Any]:
    """The response to a request with the header."""
    url, headers = f"http://{server.http}/v2/models/delay/{method}", {"x-flywheel-explain": "true"}
    with urllib.request.urlopen(urllib.request.Request(url, content, headers), timeout=30) as response:
        answer: dict[str, Any] = json.load(response)
    return answer


def explanation(answer: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(answer["parameters"]["explanation"])
    return found


def test_an_answer_has_the_contributions_of_its_columns(flights: Path, tmp_path: Path) -> None:
    with explained_server(flights, tmp_path / "explain.log") as server:
        plain = send_request(server, body([ROW, (1, None, "DL")]))
        answer = ask(server, body([ROW, (1, None, "DL")]))
        predicted = ask(server, json.dumps({"rows": [dict(zip(("month", "wind", "carrier"), ROW, strict=True))]}).encode(), "predict")  # fmt: skip
        with grpc.insecure_channel(server.grpc) as channel:
            infer = channel.unary_unary(
                "/inference.GRPCInferenceService/ModelInfer",
                request_serializer=pb.ModelInferRequest.SerializeToString,
                response_deserializer=pb.ModelInferResponse.FromString,
            )
            over_grpc = infer(grpc_request(), metadata=(("x-flywheel-explain", "true"),))
        explained = metric(server, 'flywheel_explanations_total{outcome="Explained"}')

    assert "parameters" not in plain
    first, second = explanation(answer)["rows"]
    probabilities = next(each["data"] for each in answer["outputs"] if each["name"] == "probabilities")
    assert (first["method"], first["scale"]) == ("KernelSHAP", "Probability")
    for row, probability in ((first, probabilities[1]), (second, probabilities[3])):
        [output] = row["outputs"].values()
        assert output["value"] == pytest.approx(probability, abs=1e-6)
        assert output["base"] + sum(output["contributions"].values()) == pytest.approx(output["value"], abs=1e-6)
        assert output["contributions"].keys() == {"month", "wind", "carrier"}
    assert predicted["parameters"]["explanation"]["rows"] == [first]
    assert json.loads(over_grpc.parameters["explanation"].string_param)["rows"] == [first]
    assert explained == 3


def grpc_request() -> Any:
    month, wind, carrier = ROW
    request = pb.ModelInferRequest(model_name="delay")
    for name, value in (("month", month), ("wind", wind)):
        item = request.inputs.add(name=name, datatype="FP32", shape=[1, 1])
        item.contents.fp32_contents.append(value)
    request.inputs.add(name="carrier", datatype="BYTES", shape=[1, 1]).contents.bytes_contents.append(carrier.encode())
    return request


def test_a_model_that_no_method_explains_answers_with_the_reason(flights: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(flights, model)
    (model / "golden.json").unlink()
    with explained_server(model, tmp_path / "explain.log") as server:
        answer = ask(server, body([ROW]))

    found = explanation(answer)
    assert found["reason"] == "BackgroundMissing"
    assert "register it with a golden.json" in found["message"]
    assert answer["outputs"]


def test_a_service_without_explanations_says_so(flight_server: LocalServer) -> None:
    url = f"http://{flight_server.http}/v2/models/flight-delay/infer"
    request = urllib.request.Request(url, body([ROW]), {"x-flywheel-explain": "true"})
    with urllib.request.urlopen(request, timeout=30) as response:
        answer = json.load(response)

    assert explanation(answer)["reason"] == "NotEnabled"
    assert "spec.explain.header" in explanation(answer)["message"]


def test_answers_go_on_without_the_explainer_and_explanations_come_back(flights: Path, tmp_path: Path) -> None:
    with explained_server(flights, tmp_path / "explain.log") as server:
        [worker] = workers(flights)
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: metric(server, "flywheel_explainer_connected") == 0)
        start = time.monotonic()
        without = ask(server, body([ROW]))
        seconds = time.monotonic() - start
        back = wait_until(lambda: explanation(ask(server, body([ROW]))).get("rows"), 60)

    assert explanation(without)["reason"] == "ExplainerUnreachable"
    assert seconds < 1
    assert len(back) == 1
    assert "the explainer ended with -9" in (tmp_path / "explain.log").read_text()


def test_an_explanation_that_is_late_is_left_out(flights: Path, tmp_path: Path) -> None:
    with explained_server(flights, tmp_path / "explain.log", answer_seconds=0.3) as server:
        [worker] = workers(flights)
        os.kill(worker, signal.SIGSTOP)
        try:
            answer = ask(server, body([ROW]))
            for _ in range(70):
                send = explanation(ask_at_once(server))
        finally:
            os.kill(worker, signal.SIGCONT)

    assert explanation(answer)["reason"] == "Late"
    assert send["reason"] in ("Late", "ExplainerBusy")
    assert answer["outputs"]


def ask_at_once(server: LocalServer) -> dict[str, Any]:
    """A request whose client has no time to wait for the explanation."""
    url = f"http://{server.http}/v2/models/delay/infer"
    headers = {"x-flywheel-explain": "true", "x-envoy-expected-rq-timeout-ms": "50"}
    with urllib.request.urlopen(urllib.request.Request(url, body([ROW]), headers), timeout=30) as response:
        answer: dict[str, Any] = json.load(response)
    return answer


def workers(model: Path) -> list[int]:
    """The processes that explain this model."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if b"flywheel_serving.explanation.sidecar.worker" in command and str(model).encode() in command:
            found.append(int(process.name))
    return found


def test_a_sample_of_logged_rows_is_explained(logged_flights: Path, log_store: LogStore, tmp_path: Path) -> None:
    with explained_server(logged_flights, tmp_path / "explain.log", log_store.config_json(), sample=0.5) as server:
        for number in range(40):
            send_request(server, body([(1 + number % 12, 2.5, "UA"), ROW], id=f"r{number}"))
        said = stop_server(server)

    rows = log_store.rows()
    assert len(rows) == said["rows"] == 80
    explained = [row for row in rows if row["explanation"] is not None]
    assert 20 < len(explained) < 60
    for row in explained:
        found = json.loads(row["explanation"])
        [output] = found["outputs"].values()
        assert found["method"] == "KernelSHAP"
        assert output["contributions"].keys() == {"month", "wind", "carrier"}
        assert output["value"] == pytest.approx(np.array(row["outputs"]["probabilities"])[1], abs=1e-6)


def test_rows_are_logged_without_an_explainer(logged_flights: Path, log_store: LogStore, tmp_path: Path) -> None:
    with explained_server(logged_flights, tmp_path / "explain.log", log_store.config_json(), sample=1.0, log_seconds=0.5) as server:  # fmt: skip
        [worker] = workers(logged_flights)
        os.kill(worker, signal.SIGSTOP)
        for number in range(100):
            send_request(server, body([ROW], id=f"r{number}"))
        os.kill(worker, signal.SIGKILL)
        send_request(server, body([ROW], id="last"))
        said = stop_server(server)

    rows = log_store.rows()
    assert len(rows) == said["rows"] == 101
    assert {row["explanation"] for row in rows} == {None}


@pytest.mark.parametrize("column", ["probabilities", "carrier"])
def test_a_column_that_the_log_protects_is_not_told_by_contributions(
    logged_flights: Path, log_store: LogStore, tmp_path: Path, column: str
) -> None:
    config = log_store.config_json(columns=[{"name": column, "action": "Drop"}])
    with explained_server(logged_flights, tmp_path / "explain.log", config, sample=1.0) as server:
        send_request(server, body([ROW], id="r"))
        stop_server(server)

    # The answer less the base and the contributions of the open columns would be that of the protected one.
    assert [row["explanation"] for row in log_store.rows()] == [None]


def test_rows_that_take_too_long_are_left_and_do_not_end_the_explainer(tmp_path: Path) -> None:
    model, names = (
        tmp_path / "model",
        [f"c{number}" for number in range(10)],
    )  # 10 million rows to predict, a hundred times those of one row
    model.mkdir()
    (model / "model.onnx").write_bytes(columns(dict.fromkeys(names, 0.1)))
    values = np.random.default_rng(0).normal(size=(100, len(names))).astype(np.float32)
    rows = {name: values[:, number].tolist() for number, name in enumerate(names)}
    golden = {"v": 1, "tolerance": 1e-4, "inputs": rows, "outputs": {"prediction": (0.1 * values.sum(axis=1)).tolist()}}
    (model / "golden.json").write_text(json.dumps(golden))
    with explained_server(model, tmp_path / "explain.log", answer_seconds=0.3, run_seconds=2) as server:
        before = workers(model)
        late = explanation(ask(server, tensors(rows)))
        wait_until(lambda: "rows" in explanation(ask(server, tensors({name: each[:1] for name, each in rows.items()}))))
        after = workers(model)

    assert late["reason"] == "Late"
    assert before == after
    assert len(before) == 1


def tensors(rows: dict[str, list[float]]) -> bytes:
    inputs = [{"name": name, "datatype": "FP32", "shape": [len(each), 1], "data": each} for name, each in rows.items()]
    return json.dumps({"inputs": inputs}).encode()

"""The server's lifecycle: it refuses models that it cannot serve, is ready after its warm-up, and drains."""

import contextlib
import json
import shutil
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc

from e2e.waiting import wait_until
from tests.serving.local_server import LocalServer

pytestmark = pytest.mark.integration  # each starts a model server in its own process

LONG = json.dumps({"inputs": [{"name": "n", "datatype": "INT64", "shape": [1], "data": [1_000_000]}]}).encode()
SHORT = LONG.replace(b"1000000", b"5")


def status(server: LocalServer, path: str, body: bytes | None = None) -> int:
    try:
        with urllib.request.urlopen(f"http://{server.http}{path}", body, timeout=60) as response:
            response.read()
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


def in_flight(server: LocalServer, wanted: int) -> bool:
    with urllib.request.urlopen(f"http://{server.http}/metrics", timeout=60) as response:
        return f'model_infer_in_flight{{model="counting",version="1"}} {wanted}.0' in response.read().decode()


def count_by_grpc(server: LocalServer) -> list[int]:
    tensor = triton_grpc.InferInput("n", [1], "INT64")
    tensor.set_data_from_numpy(np.array([1_000_000]))
    answer = triton_grpc.InferenceServerClient(server.grpc).infer("counting", [tensor]).as_numpy("counted")
    counted: list[int] = answer.tolist()
    return counted


def test_after_sigterm_it_is_not_ready_keeps_answering_and_loses_no_request(counting: Path) -> None:
    flags = ("--name", "counting", "--drain-seconds", "2", "--max-queue-seconds", "60")
    with LocalServer(counting, *flags) as server, ThreadPoolExecutor(2) as pool:
        rest = pool.submit(status, server, "/v2/models/counting/infer", LONG)
        rpc = pool.submit(count_by_grpc, server)
        wait_until(lambda: in_flight(server, 2))

        server.terminate()
        server.wait_for("SIGTERM")

        assert status(server, "/v2/health/ready") == 503
        assert status(server, "/v2/models/counting/ready") == 503
        assert status(server, "/v2/health/live") == 200
        assert not triton_grpc.InferenceServerClient(server.grpc).is_server_ready()
        assert status(server, "/v2/models/counting/infer", SHORT) == 200
        assert rest.result() == 200
        assert rpc.result() == [1_000_000]
        assert server.wait() == 0
        assert server.wait_for("drained")["message"] == "drained, 0 inferences were cut"


def test_the_drain_lasts_while_requests_still_come(counting: Path) -> None:
    """A busy node withdraws endpoints late: clients still open connections to this server."""
    flags = ("--name", "counting", "--drain-seconds", "0.2")
    with LocalServer(counting, *flags) as server:
        server.terminate()
        server.wait_for("SIGTERM")
        end = time.monotonic() + 2

        while time.monotonic() < end:
            assert status(server, "/v2/models/counting/infer", SHORT) == 200
            time.sleep(0.05)

        assert server.wait() == 0
        assert "endpoints are withdrawn late" in server.wait_for("requests came for")["message"]


def test_probes_do_not_prolong_the_drain(counting: Path) -> None:
    with LocalServer(counting, "--name", "counting", "--drain-seconds", "1", "--grace-seconds", "50") as server:
        server.terminate()
        server.wait_for("SIGTERM")
        while server.process.poll() is None:
            with contextlib.suppress(OSError):  # it ends meanwhile
                assert status(server, "/v2/health/ready") == 503
            time.sleep(0.05)

        assert server.wait() == 0
        assert not [line for line in server.log if line["message"].startswith("requests came for")]


def test_a_draining_server_closes_connections_with_its_responses(counting: Path) -> None:
    with (
        LocalServer(counting, "--name", "counting", "--drain-seconds", "5") as server,
        socket.create_connection(("127.0.0.1", server.ready["http"])) as kept,
    ):
        server.terminate()
        server.wait_for("SIGTERM")
        kept.sendall(b"GET /v2 HTTP/1.1\r\nHost: a\r\n\r\n")

        answer = b"".join(iter(lambda: kept.recv(10_000), b""))

    assert answer.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in answer.lower()


def test_requests_longer_than_the_drain_are_finished(counting: Path) -> None:
    flags = ("--name", "counting", "--drain-seconds", "0", "--max-queue-seconds", "60", "--grace-seconds", "60")
    with LocalServer(counting, *flags) as server, ThreadPoolExecutor(2) as pool:
        rest = pool.submit(status, server, "/v2/models/counting/infer", LONG)
        rpc = pool.submit(count_by_grpc, server)
        wait_until(lambda: in_flight(server, 2))

        server.terminate()

        assert rest.result() == 200
        assert rpc.result() == [1_000_000]
        assert server.wait() == 0


def test_clients_that_vanish_leave_nothing_in_flight(counting: Path) -> None:
    request = b"POST /v2/models/counting/infer HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(LONG), LONG)
    with LocalServer(counting, "--name", "counting") as server:
        with socket.create_connection(("127.0.0.1", server.ready["http"])) as connection:
            connection.sendall(request)
            wait_until(lambda: in_flight(server, 1))

        wait_until(lambda: in_flight(server, 0))

        assert status(server, "/v2/health/ready") == 200


def test_an_idle_connection_does_not_delay_the_stop(counting: Path) -> None:
    with (
        LocalServer(counting, "--drain-seconds", "0", "--grace-seconds", "50") as server,
        socket.create_connection(("127.0.0.1", server.ready["http"])) as idle,
    ):
        idle.sendall(b"GET /v2 HTTP/1.1\r\nHost: a\r\n\r\n")
        idle.recv(10_000)
        start = time.monotonic()

        server.terminate()

        assert idle.recv(1) == b""
        assert server.wait() == 0
        assert time.monotonic() - start < 50  # the grace: idle is not in flight


def test_the_grace_period_ends(counting: Path) -> None:
    endless = LONG.replace(b"1000000", b"60000000")
    flags = ("--name", "counting", "--drain-seconds", "0", "--grace-seconds", "0.2")
    with LocalServer(counting, *flags) as server, ThreadPoolExecutor(1) as pool:
        cut = pool.submit(status, server, "/v2/models/counting/infer", endless)
        wait_until(lambda: in_flight(server, 1))

        server.terminate()

        with pytest.raises((urllib.error.URLError, ConnectionError)):
            cut.result()
        assert server.wait() == 0


def test_without_golden_rows_the_warm_up_is_made_from_the_signature(echo: Path) -> None:
    with LocalServer(echo, "--name", "echo") as server:
        assert status(server, "/v2/health/ready") == 200
        assert server.ready["maxDifference"] == 0


def damage_golden(folder: Path) -> None:
    golden = json.loads((folder / "golden.json").read_text())
    golden["outputs"]["probabilities"][3][0] += 0.01
    (folder / "golden.json").write_text(json.dumps(golden))


def flip_label(folder: Path) -> None:
    golden = json.loads((folder / "golden.json").read_text())
    golden["outputs"]["label"][0] = 1 - golden["outputs"]["label"][0]
    (folder / "golden.json").write_text(json.dumps(golden))


def break_golden(folder: Path) -> None:
    (folder / "golden.json").write_text('{"inputs": {"month": [1]}, "outputs": {}}')


def remove_model(folder: Path) -> None:
    (folder / "model.onnx").unlink()


def cut_model(folder: Path) -> None:
    model = (folder / "model.onnx").read_bytes()
    (folder / "model.onnx").write_bytes(model[: len(model) // 2])


@pytest.mark.parametrize(
    ("damage", "reason", "finding"),
    [
        pytest.param(
            damage_golden, "GoldenMismatch", "'probabilities' of the golden rows differs by 0.01", id="number"
        ),
        pytest.param(flip_label, "GoldenMismatch", "'label' of the golden rows differs in 1 of", id="label"),
        pytest.param(break_golden, "GoldenInvalid", "golden.json does not fit the model", id="golden.json"),
        pytest.param(remove_model, "ModelMissing", "model.onnx is not in the artifact", id="no model"),
        pytest.param(cut_model, "ModelTruncated", "is cut off or damaged inside", id="half a model"),
    ],
)
def test_a_model_that_cannot_be_served_ends_the_start_with_2(
    flights: Path, tmp_path: Path, damage: Callable[[Path], None], reason: str, finding: str
) -> None:
    folder = Path(shutil.copytree(flights, tmp_path / "model"))
    damage(folder)

    server = LocalServer(folder)

    assert server.wait() == 2
    with pytest.raises(RuntimeError, match="ended before"):
        server.wait_for("ready")
    assert server.log[-1]["reason"] == reason
    assert finding in server.log[-1]["message"]


def test_a_taken_port_ends_the_start_with_1(flight_server: LocalServer, flights: Path) -> None:
    server = LocalServer(flights, "--http", flight_server.http)

    assert server.wait() == 1
    with pytest.raises(RuntimeError, match="choose other addresses with --http"):
        server.wait_for("ready")


def test_a_wrong_flag_is_explained(flights: Path) -> None:
    server = LocalServer(flights, "--http", "8080")

    assert server.wait() == 2
    with pytest.raises(RuntimeError, match="'8080' is not HOST:PORT; write for example"):
        server.wait_for("ready")

"""A request ends at its limit, the end of a worker costs one request, and the server says what happened."""

import http.client
import json
import os
import signal
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from e2e.waiting import wait_until
from tests.serving.local_server import LocalServer

pytestmark = pytest.mark.integration  # each starts a model server in its own process

STEPS = 20_000_000  # of the counting model: more than ten seconds, and an end of its own if the limit fails


def get(server: LocalServer, path: str, port: str = "http") -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.ready[port]}{path}", timeout=30) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def count(server: LocalServer, steps: int, client: str = "127.0.0.1") -> tuple[int, dict[str, Any]]:
    body = {"inputs": [{"name": "n", "datatype": "INT64", "shape": [1], "data": [steps]}]}
    connection = http.client.HTTPConnection(server.http, timeout=60, source_address=(client, 0))
    with closing(connection):
        connection.request("POST", "/v2/models/counting/infer", json.dumps(body))
        response = connection.getresponse()
        return response.status, json.load(response)


def workers(server: LocalServer) -> list[int]:
    """The process ids of the server's children, whichever thread started them."""
    tasks = Path(f"/proc/{server.process.pid}/task").iterdir()
    return [int(pid) for task in tasks for pid in (task / "children").read_text().split()]


def metric(server: LocalServer, name: str) -> float:
    [line] = [each for each in get(server, "/metrics")[1].splitlines() if each.startswith(name)]
    return float(line.rpartition(" ")[2])


def test_stuck_requests_end_at_their_limit_and_the_health_port_tells_it_once(counting: Path) -> None:
    flags = ("--name", "counting", "--health", "127.0.0.1:0", "--max-run-seconds", "0.5")
    with LocalServer(counting, *flags) as server, ThreadPoolExecutor(2) as pool:
        assert get(server, "/v2/health/ready", "health") == (200, '{"ready":true}')
        stuck = [pool.submit(count, server, STEPS) for _ in range(2)]

        for status, answer in (each.result() for each in stuck):
            assert status == 504
            assert answer["error"].startswith(
                "the model did not finish in 0.5 s, the limit of a request, and was ended"
            )
        assert count(server, 3)[0] == 200
        status, body = get(server, "/v2/health/ready", "health")
        assert (status, json.loads(body)["reason"]) == (504, "ModelStuck")
        assert get(server, "/v2/health/ready", "health")[0] == 200
        assert metric(server, 'flywheel_model_ended_calls_total{cause="TimeLimit"') == 2
        assert get(server, "/v2/health/ready")[0] == 200, "the public port tells what clients ask: whether it serves"


def test_a_client_with_stuck_requests_leaves_room_for_others(counting: Path) -> None:
    flags = ("--name", "counting", "--max-run-seconds", "5", "--max-queue-seconds", "30")
    with LocalServer(counting, *flags) as server, ThreadPoolExecutor(4) as pool:
        stuck = [pool.submit(count, server, STEPS, "127.0.0.2") for _ in range(4)]
        wait_until(lambda: metric(server, "model_infer_in_flight") == 4)

        assert [count(server, steps)[0] for steps in (1, 2, 3)] == [200] * 3

        assert not any(each.done() for each in stuck)


def test_a_crash_costs_one_request_and_one_worker(counting: Path) -> None:
    flags = ("--name", "counting", "--health", "127.0.0.1:0")
    with LocalServer(counting, *flags) as server, ThreadPoolExecutor(1) as pool:
        [worker] = workers(server)
        lost = pool.submit(count, server, STEPS)
        wait_until(lambda: metric(server, "model_infer_in_flight") == 1)
        wait_until(lambda: Path(f"/proc/{worker}/stat").read_text().split()[2] == "R")

        os.kill(worker, signal.SIGABRT)  # as the runtime would end it

        status, answer = lost.result()
        assert status == 500
        assert "the model runtime ended its worker process on this input (SIGABRT)" in answer["error"]
        assert count(server, 3)[0] == 200
        assert worker not in workers(server)
        assert metric(server, 'flywheel_model_ended_calls_total{cause="Crashed"') == 1
        assert get(server, "/v2/health/ready", "health")[0] == 500
        assert get(server, "/v2/health/ready", "health")[0] == 200


def test_the_health_port_has_nothing_else(lookup: Path) -> None:
    with LocalServer(lookup, "--name", "lookup", "--health", "127.0.0.1:0") as server:
        assert get(server, "/v2/health/live", "health") == (200, '{"live":true}')
        for path in ("/metrics", "/v2/models/lookup", "/"):
            assert get(server, path, "health")[0] == 404


def test_a_draining_server_says_so(lookup: Path) -> None:
    flags = ("--name", "lookup", "--health", "127.0.0.1:0", "--drain-seconds", "3")
    with LocalServer(lookup, *flags) as server:
        server.terminate()
        server.wait_for("SIGTERM")
        for port in ("http", "health"):
            status, body = get(server, "/v2/health/ready", port)
            assert (status, json.loads(body)["reason"]) == (503, "Draining")

"""A server with a real store logs and counts what it answers, and keeps answering whatever happens to the writer."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pytest

from e2e.waiting import wait_until
from flywheel_serving.prediction_log import config
from flywheel_serving.prediction_log.batches import encode_message
from tests.serving.local_server import LocalServer
from tests.serving.prediction_log.log_store import (
    LogStore,
    body,
    metric,
    send_request,
    start_server,
    start_sink,
    stop_server,
)

pytestmark = pytest.mark.integration  # each starts a model server in its own process

ROWS, PENDING = "flywheel_log_rows_total", "flywheel_log_pending_rows"


def dropped(server: LocalServer, reason: str) -> float:
    return metric(server, f'flywheel_log_dropped_total{{reason="{reason}"}}')


def writer_of(server: LocalServer) -> int:
    """The process id of the sink's only child."""
    assert server.sink is not None
    children = Path(f"/proc/{server.sink.pid}/task/{server.sink.pid}/children")
    [child] = wait_until(lambda: children.read_text().split())
    return int(child)


def test_answered_requests_are_logged_and_counted(logged_flights: Path, log_store: LogStore) -> None:
    with start_server(logged_flights, log_store.config_json()) as server:
        answers = [send_request(server, body([(month, 2.5, "UA")], id=f"r{month}")) for month in range(1, 13)]
        send_request(server, body([(1, None, "DL"), (13, 30.0, None), (0, -1.0, "AA")], id="many"))
        said = stop_server(server)

    rows = {(row["id"], row["row"]): row for row in log_store.rows()}
    assert len(rows) == said["rows"] == 15
    for month, answer in enumerate(answers, start=1):
        row, found = rows[f"r{month}", 0], {output["name"]: output["data"] for output in answer["outputs"]}
        assert row["features"] == {"month": month, "wind": 2.5, "carrier": "UA"}
        assert (row["outputs"]["label"], row["outputs"]["probabilities"]) == (found["label"][0], pytest.approx(found["probabilities"]))  # fmt: skip
        assert (row["version"], row["digest"], row["route"]) == ("v1", "sha256:abc", "Direct")
    counts = log_store.counts()
    assert (counts["requests"], counts["rows"]) == (13, 15)
    assert counts["features"]["month"] == {"missing": 0, "invalid": 0, "under": 1, "over": 1, "bins": [4, 3, 6]}
    assert counts["features"]["carrier"] == {"missing": 1, "counts": [12, 1], "other": 1}
    assert counts["predictions"]["rows"] == 15


def test_a_refused_request_is_neither_logged_nor_counted(logged_flights: Path, log_store: LogStore) -> None:
    with start_server(logged_flights, log_store.config_json()) as server:
        with pytest.raises(urllib.error.HTTPError):
            send_request(server, b'{"inputs": [{"name": "month", "datatype": "FP32", "shape": [1], "data": [1]}]}')
        send_request(server, body([(1, 2.5, "UA")]))
        stop_server(server)

    assert (len(log_store.rows()), log_store.counts()["requests"]) == (1, 1)


def test_all_are_counted_and_the_sample_is_logged(logged_flights: Path, log_store: LogStore) -> None:
    ids = [f"request-{number}" for number in range(200)]
    with start_server(logged_flights, log_store.config_json(sample=0.2)) as server:
        for each in ids:
            send_request(server, body([(1, 2.5, "UA")], id=each))
        stop_server(server)

    chosen = {each for each in ids if config.sample_position(each) < config.sample_threshold(0.2)}
    assert {row["id"] for row in log_store.rows()} == chosen
    assert log_store.counts()["requests"] == 200


def test_requests_of_one_batch_are_counted_with_their_own_outputs(logged_flights: Path, log_store: LogStore) -> None:
    """Eight clients at once; every other one requests the label alone, which has no score."""
    wants: list[dict[str, Any]] = [{}, {"outputs": [{"name": "label"}]}]
    with start_server(logged_flights, log_store.config_json(sample=0.1)) as server, ThreadPoolExecutor(8) as pool:
        contents = [body([(1 + number % 12, 2.5, "UA")], **wants[number % 2]) for number in range(400)]
        list(pool.map(lambda content: send_request(server, content), contents))
        stop_server(server)

    counts = log_store.counts()
    assert (counts["requests"], counts["rows"], counts["predictions"]["rows"]) == (400, 400, 200)
    assert sum(counts["features"]["month"]["bins"]) == 400
    assert 0 < len(log_store.rows()) < 200


def test_no_response_is_lost_when_the_writer_dies_and_logging_resumes(
    logged_flights: Path, log_store: LogStore
) -> None:
    asked = 0
    with start_server(logged_flights, log_store.config_json()) as server:

        def send_some() -> None:
            nonlocal asked
            for _ in range(20):
                send_request(server, body([(asked % 12 + 1, 2.5, "UA")], id=f"r{asked}"))
                asked += 1

        send_some()
        wait_until(lambda: metric(server, ROWS) == 20)
        os.kill(writer_of(server), signal.SIGSTOP)  # these rows are sent and not in the store when it dies
        send_some()
        wait_until(lambda: metric(server, PENDING) == 20)
        os.kill(writer_of(server), signal.SIGKILL)
        wait_until(lambda: metric(server, "flywheel_log_sink_starts_total") == 2)
        lost = dropped(server, "sink_died")
        send_some()
        wait_until(lambda: metric(server, ROWS) + lost == asked)
        said = stop_server(server)

    assert lost == 20
    assert len(log_store.rows()) == said["rows"] == asked - lost
    assert log_store.counts()["requests"] == asked, "counts are sent again, and written once"


def test_an_unreachable_store_is_retried(logged_flights: Path, log_store: LogStore) -> None:
    config_json = log_store.config_json()
    log_store.write_secret({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"})
    with start_server(logged_flights, config_json) as server:
        for number in range(30):
            send_request(server, body([(1, 2.5, "UA")], id=f"r{number}"))
        wait_until(lambda: "predictions cannot be written to the store" in log_store.sink_log())
        assert metric(server, ROWS) == 0
        log_store.write_secret({"AWS_ENDPOINT_URL": log_store.store.endpoint})
        wait_until(lambda: metric(server, ROWS) == 30)
        wait_until(lambda: "predictions are written to the store again" in log_store.sink_log())
        stop_server(server)

    assert log_store.counts()["requests"] == 30


def test_an_unreachable_store_does_not_delay_the_stop(logged_flights: Path, log_store: LogStore) -> None:
    config_json = log_store.config_json(drain_seconds=1.0)
    log_store.write_secret({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"})
    with start_server(logged_flights, config_json) as server:
        send_request(server, body([(1, 2.5, "UA")]))
        said = stop_server(server)

    assert (said["rows"], said["dropped"], said["lost"]) == (0, 1, 1)


def test_a_writer_that_hangs_costs_neither_responses_nor_memory(logged_flights: Path, log_store: LogStore) -> None:
    text = "x" * 20_000
    with start_server(logged_flights, log_store.config_json()) as server:
        send_request(server, body([(1, 2.5, "UA")]))
        os.kill(sink := writer_of(server), signal.SIGSTOP)
        before = resident(server)
        for _ in range(600):  # 12 MB, three times what may wait
            send_request(server, body([(1, 2.5, text)]))
        full, grown = dropped(server, "full"), resident(server) - before
        os.kill(sink, signal.SIGCONT)
        said = stop_server(server)

    assert full > 0
    assert grown < 16
    assert said["rows"] + said["dropped"] == 601
    assert len(log_store.rows()) == said["rows"]
    assert log_store.counts()["requests"] == 601


def resident(server: LocalServer) -> float:
    """MiB of memory that the server's own process holds."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def test_a_request_that_is_too_large_is_dropped_alone(logged_flights: Path, log_store: LogStore) -> None:
    with start_server(logged_flights, log_store.config_json()) as server:
        send_request(server, body([(1, 2.5, "UA")], id="small"))
        send_request(server, body([(1, 2.5, "x" * 3_000_000)], id="large"))
        wait_until(lambda: dropped(server, "too_large") == 1)
        stop_server(server)

    assert [row["id"] for row in log_store.rows()] == ["small"]
    assert log_store.counts()["requests"] == 2


def test_a_rule_for_an_unknown_column_stops_logging_and_is_reported(logged_flights: Path, log_store: LogStore) -> None:
    config_json = log_store.config_json(columns=[{"name": "carier", "action": "Drop"}])
    with start_server(logged_flights, config_json) as server:
        send_request(server, body([(1, 2.5, "UA")]))
        wait_until(lambda: dropped(server, "misconfigured") == 1)
        stop_server(server)

    [line] = [line for line in server.log if line["message"].startswith("predictions are not logged")]
    assert "column 'carier' is no input or output of this model" in line["message"]
    assert log_store.rows() == []
    assert log_store.counts()["requests"] == 1, "counts hold nothing of a person"


def test_without_the_hmac_secret_nothing_is_written(logged_flights: Path, log_store: LogStore, tmp_path: Path) -> None:
    key = tmp_path / "key"
    config_json = log_store.config_json(columns=[{"name": "carrier", "action": "Hmac"}], hmac_file=str(key))
    with start_server(logged_flights, config_json) as server:
        send_request(server, body([(1, 2.5, "UA")]))
        wait_until(lambda: "predictions cannot be written to the store" in log_store.sink_log())
        assert log_store.rows() == []
        key.write_text("a secret")
        wait_until(lambda: metric(server, ROWS) == 1)
        stop_server(server)

    assert len(log_store.rows()[0]["features"]["carrier"]) == 32


def test_a_model_without_a_baseline_is_logged_and_only_its_responses_are_counted(
    flights: Path, log_store: LogStore
) -> None:
    with start_server(flights, log_store.config_json()) as server:
        send_request(server, body([(1, 2.5, "UA")]))
        stop_server(server)

    assert len(log_store.rows()) == 1
    [window] = log_store.windows()
    assert (window["requests"], window["rows"], window["features"], window["baseline"]) == (0, 0, {}, "")
    assert sum(window["responses"]["latencySeconds"]["counts"]) == 1
    assert sum("no baseline.json" in line["message"] for line in server.log) == 1


def test_a_server_without_a_sink_answers_says_so_and_logs_once_it_is_there(
    logged_flights: Path, log_store: LogStore
) -> None:
    path = Path(tempfile.mkdtemp(prefix="sink-"), "sock")
    config_json = log_store.config_json(socket=str(path))
    flags = ("--name", "delay", "--version", "v1", "--drain-seconds", "0", "--record", config_json)
    with LocalServer(logged_flights, *flags) as server:
        send_request(server, body([(1, 2.5, "UA")], id="early"))
        server.wait_for("the sink of logged predictions cannot be reached")
        assert metric(server, "flywheel_log_sink_connected") == 0
        with start_sink(config_json, log_store.secret.with_name("sink.log")):
            wait_until(lambda: metric(server, "flywheel_log_sink_connected") == 1)
            wait_until(lambda: metric(server, ROWS) == 1)
            stop_server(server)

    assert [row["id"] for row in log_store.rows()] == ["early"]


def test_the_sink_ends_what_is_no_message_and_serves_the_next_connection(
    logged_flights: Path, log_store: LogStore
) -> None:
    with start_server(logged_flights, log_store.config_json()) as server:
        send_request(server, body([(1, 2.5, "UA")], id="good"))
        stop_server(server)
        path = json.loads(cast("list[str]", server.process.args)[-1])["socket"]
        greeting = encode_message({"schema": None, "version": "v1", "boot": "../../escape"})
        for content in (b"\xff\xff\xff\xff", greeting):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(path)
                client.sendall(content)
                client.settimeout(20)
                assert client.recv(1) == b""

    assert "no name" in log_store.sink_log()
    assert "at most 8388608 are accepted" in log_store.sink_log()
    assert [row["id"] for row in log_store.rows()] == ["good"]


def test_the_store_secret_is_not_in_the_servers_environment(logged_flights: Path, log_store: LogStore) -> None:
    with start_server(logged_flights, log_store.config_json()) as server:
        environment = Path(f"/proc/{server.process.pid}/environ").read_bytes()
        sink = Path(f"/proc/{writer_of(server)}/environ").read_bytes()

    secret = (log_store.secret / "AWS_SECRET_ACCESS_KEY").read_bytes()
    assert secret not in environment
    assert secret not in sink


def test_the_writer_of_a_killed_server_writes_what_it_has(logged_flights: Path, log_store: LogStore) -> None:
    with start_server(logged_flights, log_store.config_json(seconds=3600)) as server:
        send_request(server, body([(1, 2.5, "UA")]))
        wait_until(lambda: metric(server, PENDING) == 1)
        assert log_store.rows() == []
        server.process.kill()
        wait_until(log_store.rows)

    assert len(log_store.rows()) == 1


def test_an_invalid_record_flag_is_explained(logged_flights: Path) -> None:
    command = [sys.executable, "-m", "flywheel_serving", "--model", str(logged_flights), "--record", '{"sample": 2}']
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})  # fmt: skip

    assert done.returncode == 2
    assert "argument --record: service is missing" in done.stderr

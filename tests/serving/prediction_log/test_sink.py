"""The sink's writer process: its limits, and its end."""

import json
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from e2e.waiting import wait_until
from flywheel_serving.prediction_log.batches import encode_message
from flywheel_serving.prediction_log.sink.writer import MAX_MEMORY_BYTES, MAX_QUEUE_BYTES
from tests.serving.prediction_log.log_store import LogStore, start_sink

pytestmark = pytest.mark.integration  # each starts the sink in its own process

GREETING = encode_message({"schema": {"features": [], "outputs": []}, "version": "v1", "boot": "ab12"})


@contextmanager
def connect(config_json: str, log: Path) -> Iterator[tuple[socket.socket, subprocess.Popen[bytes]]]:
    """A connection to a sink, which has received the greeting, and the sink's process."""
    with tempfile.TemporaryDirectory(prefix="sink-") as folder:
        path = Path(folder, "sock")
        with_socket = json.dumps({**json.loads(config_json), "socket": str(path)})
        with start_sink(with_socket, log) as sink, socket.socket(socket.AF_UNIX) as client:
            wait_until(path.exists)
            client.settimeout(20)
            client.connect(str(path))
            client.sendall(GREETING)
            yield client, sink


def test_the_writer_has_few_threads_and_little_memory_on_a_node_with_many_cpus(
    log_store: LogStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "32")  # what numpy does by itself on a node with 32 CPUs
    limit = str(MAX_MEMORY_BYTES)
    with connect(log_store.config_json(), log_store.secret.with_name("sink.log")) as (_, sink):
        children = Path(f"/proc/{sink.pid}/task/{sink.pid}/children")
        [writer] = wait_until(lambda: children.read_text().split())
        wait_until(lambda: limit in Path(f"/proc/{writer}/limits").read_text())
        environment = Path(f"/proc/{writer}/environ").read_bytes().split(b"\0")
        status = Path(f"/proc/{writer}/status").read_text()

    assert {b"OPENBLAS_NUM_THREADS=1", b"OMP_NUM_THREADS=1", b"TOKIO_WORKER_THREADS=2"} <= set(environment)
    assert int(status.split("VmData:")[1].split()[0]) * 1024 < MAX_MEMORY_BYTES / 2


def test_a_writer_whose_queue_is_full_ends_soon_after_its_server(log_store: LogStore) -> None:
    config_json = log_store.config_json(drain_seconds=1.0)
    log_store.write_secret({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"})
    size = 4 * 1024 * 1024
    with connect(config_json, log_store.secret.with_name("sink.log")) as (client, _):
        for window in range(MAX_QUEUE_BYTES // size + 1):
            head = {"kind": "counts", "window": window, "from": 0, "document": {}}
            client.sendall(encode_message(head, bytes(size)))
        client.sendall(encode_message({"kind": "counts", "window": 9, "from": 0, "document": {}}))
        client.shutdown(socket.SHUT_WR)

        with suppress(ConnectionResetError):  # its rest was not read
            assert client.recv(1) == b""

    assert "the server ended before the store accepted what was logged" in log_store.sink_log()

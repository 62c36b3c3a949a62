"""A worker whose responses are damaged is ended: its next bytes must not be read as the response to another client."""

import sys
from pathlib import Path

import numpy as np
import pytest

from flywheel_serving.errors import ModelCrashed
from flywheel_serving.workers import process
from flywheel_serving.workers.process import WorkerProcess

pytestmark = pytest.mark.integration  # each starts a process

FEEDS = {"x": np.zeros(1, np.float32)}
# A worker whose model has overwritten its memory.
WORKER = """
import json, socket, struct, sys
from flywheel_serving.workers.frames import LENGTHS, receive_message, send_message

connection = socket.socket(fileno=json.loads(sys.argv[-1])["socket"])
spec = {"name": "y", "datatype": "FP32", "shape": [-1]}
send_message(connection, LOADED, {})
receive_message(connection)
text = RESPONSE
connection.sendall(LENGTHS.pack(len(text), 4) + text + bytes(4))
receive_message(connection)
"""
LOADED = '{"signature": {"inputs": [spec], "outputs": [spec]}, "providers": []}'


def start_worker(folder: Path, monkeypatch: pytest.MonkeyPatch, loaded: str, response: bytes = b"") -> WorkerProcess:
    script = folder / "worker.py"
    script.write_text(WORKER.replace("LOADED", loaded).replace("RESPONSE", repr(response)))
    monkeypatch.setattr(process, "_python", lambda: [sys.executable, str(script)])
    return WorkerProcess(folder / "model.onnx", 1, 2**20)


@pytest.mark.parametrize(
    "response",
    [
        pytest.param(b'"arrays"', id="no object"),
        pytest.param(b'{"arrays": [{"name": "z", "dtype": "<f4", "shape": [1]}]}', id="another name"),
        pytest.param(b'{"arrays": [{"name": "y", "dtype": "<i4", "shape": [1]}]}', id="another type"),
        pytest.param(b'{"arrays": [{"name": "y", "dtype": "<f4", "shape": [0]}]}', id="bytes without an array"),
        pytest.param(b'{"arrays": [{"name": "y", "texts": [1], "shape": [1]}]}', id="a text that is none"),
        pytest.param(b'{"arrays": [{"name": ["y"], "dtype": "<f4", "shape": [1]}]}', id="a name that is none"),
        pytest.param(b'{"arrays": [1]}', id="no array"),
    ],
)
def test_a_worker_ends_with_its_first_damaged_response(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, response: bytes
) -> None:
    worker = start_worker(tmp_path, monkeypatch, LOADED, response)

    with pytest.raises(ModelCrashed, match="its response was damaged"):
        worker.run(FEEDS, ["y"], 10.0)

    assert not worker.is_alive


def test_a_sound_response_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = b'{"arrays": [{"name": "y", "dtype": "<f4", "shape": [1]}]}'
    worker = start_worker(tmp_path, monkeypatch, LOADED, sound)

    assert worker.run(FEEDS, ["y"], 10.0)[0].tolist() == [0.0]

    assert worker.is_alive
    worker.kill()


@pytest.mark.parametrize("loaded", ['{"refused": 1}', '{"signature": {}}', '{"signature": [spec], "providers": []}'])
def test_a_damaged_description_of_the_model_is_a_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loaded: str
) -> None:
    with pytest.raises(ModelCrashed, match="its response was damaged"):
        start_worker(tmp_path, monkeypatch, loaded)

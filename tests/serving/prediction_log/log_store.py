"""Servers that log predictions in tests, and the log that they write."""

import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import duckdb

from e2e.waiting import wait_until
from tests.runtime.s3_server import Server as S3
from tests.serving.local_server import LocalServer

Row = dict[str, Any]
SOURCE = "read_parquet($1, hive_partitioning = false)"
INPUTS = {"month": "FP32", "wind": "FP32", "carrier": "BYTES"}


@dataclass
class LogStore:
    """The log of one test. versitygw stores objects as files, which are read directly."""

    store: S3
    bucket: str
    secret: Path

    def config_json(self, **changed: Any) -> str:
        """`--record` of a server that logs everything and writes each second; writes the Secret's folder."""
        self.write_secret(self.store.env(self.bucket))
        config_json = {"sample": 1.0, "service": "delay", "namespace": "shop", "pod": "pod-1", "digest": "sha256:abc", "store": str(self.secret), "seconds": 1.0}  # fmt: skip
        return json.dumps(config_json | changed)

    def sink_log(self) -> str:
        """What the sink and its writers logged."""
        return self.secret.with_name("sink.log").read_text()

    def write_secret(self, values: dict[str, str]) -> None:
        self.secret.mkdir(exist_ok=True)
        for key, value in values.items():
            (self.secret / key).write_text(value)

    def _files(self, kind: str) -> list[Path]:
        folder = self.store.folder / self.bucket / "shop" / "predictions" / "delay" / kind
        return [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith(".")]

    @property
    def files(self) -> list[Path]:
        return self._files("rows")

    def rows(self) -> list[Row]:
        """All logged rows, read by DuckDB."""
        if not self.files:
            return []
        paths = [str(path) for path in self.files]
        answer = duckdb.connect().execute(
            f"SELECT * REPLACE (epoch_us(time) AS time) FROM {SOURCE} ORDER BY time, id, row", [paths]
        )
        names = [column[0] for column in answer.description or []]
        return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]

    @property
    def label_files(self) -> list[Path]:
        return self._files("labels")

    def labels(self) -> list[Row]:
        """All posted labels, in the order of their ids and keys."""
        paths = [str(path) for path in self.label_files]
        answer = duckdb.connect().execute(
            f"SELECT * REPLACE (epoch_us(time) AS time) FROM {SOURCE} ORDER BY id NULLS LAST, key", [paths]
        )
        names = [column[0] for column in answer.description or []]
        return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]

    def windows(self) -> list[Row]:
        return [json.loads(path.read_bytes()) for path in self._files("counts")]

    def counts(self) -> Row:
        """The sum of all windows."""
        return reduce(
            add_counts, [{k: w[k] for k in ("requests", "rows", "features", "predictions")} for w in self.windows()]
        )


def add_counts(left: Any, right: Any) -> Any:
    """The sum of two documents of counts, leaf by leaf."""
    if isinstance(left, dict):
        return {key: add_counts(left[key], right[key]) for key in left}
    if isinstance(left, list):
        return [add_counts(a, b) for a, b in zip(left, right, strict=True)]
    return left + right


def body(rows: list[tuple[float | None, float | None, str | None]], **more: Any) -> bytes:
    """The body of a request with a month, a wind and a carrier for each row."""
    columns = list(zip(*rows, strict=True))
    inputs = [
        {"name": name, "datatype": datatype, "shape": [len(rows), 1], "data": list(values)}
        for (name, datatype), values in zip(INPUTS.items(), columns, strict=True)
    ]
    return json.dumps({"inputs": inputs + more.pop("inputs", []), **more}).encode()


def send_request(server: LocalServer, content: bytes, method: str = "infer") -> Row:
    """The response. Raises HTTPError."""
    url = f"http://{server.http}/v2/models/delay/{method}"
    with urllib.request.urlopen(url, content, timeout=30) as response:
        answer: Row = json.load(response)
    return answer


def metric(server: LocalServer, series: str) -> float:
    """The value of one series, such as `flywheel_log_rows_total`."""
    with urllib.request.urlopen(f"http://{server.http}/metrics", timeout=30) as response:
        lines = response.read().decode().splitlines()
    return next(float(line.rpartition(" ")[2]) for line in lines if line.startswith(series + " "))


@contextmanager
def start_server(model: Path, config_json: str, *more: str) -> Iterator[LocalServer]:
    """A server that logs and drains at once, with its sink and `more` flags. Short paths: a socket's has at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="sink-") as folder:
        config = json.loads(config_json)
        with_socket = json.dumps({**config, "socket": f"{folder}/sock"})
        flags = ("--name", "delay", "--version", "v1", "--drain-seconds", "0", "--record", with_socket, *more)
        with start_sink(with_socket, Path(config["store"]).with_name("sink.log")) as sink:
            wait_until(Path(folder, "sock").exists)
            with LocalServer(model, *flags) as server:
                server.sink = sink
                yield server


@contextmanager
def start_sink(config_json: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The sink in its own process, which writes its log to the file."""
    command = [sys.executable, "-m", "flywheel_serving.prediction_log.sink", config_json]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with log.open("ab") as output, subprocess.Popen(command, stderr=output, env=environment) as sink:
        try:
            yield sink
        finally:
            sink.terminate()
            try:
                sink.wait(20)
            finally:
                sink.kill()


def stop_server(server: LocalServer) -> Row:
    """Stops the server as the kubelet does; returns its last log line about predictions."""
    server.terminate()
    assert server.wait() == 0
    return next(line for line in server.log if line["message"] == "predictions logged")

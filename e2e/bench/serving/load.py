"""h2load (nghttp2) over HTTP/1.1 and gRPC's HTTP/2, on a core of its own; every answer's status and time are read."""

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from e2e.bench.serving.prediction_case import OWN_PATH, PATH, ROWS_PATH, RPC_PATH, PredictionCase
from e2e.cluster.progress import Failure

CORE = "1"
WARM_UP = 1.0  # seconds, not counted


@dataclass(frozen=True)
class LoadResult:
    """`rate`: answers with status 200 in a second; `refused`: others in a second; times in milliseconds, of those with 200."""

    rate: float
    refused: float
    p50: float
    p99: float


def rest(
    question: PredictionCase, *, protocol: bool, port: int, connections: int, seconds: float, rps: float = 0
) -> LoadResult:
    """POST of JSON; `rps` is offered by all connections together, 0: as fast as answers come."""
    path, body = (PATH, question.json()) if protocol else (OWN_PATH, question.own_json())
    words = ["--h1", "--header", "content-type: application/json"]
    return _measured(words, body, f"http://127.0.0.1:{port}{path}", connections, seconds, rps)


def rows(question: PredictionCase, *, port: int, connections: int, seconds: float) -> LoadResult:
    """POST of rows by column names."""
    words = ["--h1", "--header", "content-type: application/json"]
    return _measured(words, question.rows_json(), f"http://127.0.0.1:{port}{ROWS_PATH}", connections, seconds, 0)


def rpc(question: PredictionCase, *, port: int, connections: int, seconds: float) -> LoadResult:
    """Unary ModelInfer, one call at a time on each connection."""
    words = ["--header", "content-type: application/grpc", "--header", "te: trailers"]
    return _measured(words, question.frame(), f"http://127.0.0.1:{port}{RPC_PATH}", connections, seconds, 0)


def _measured(words: list[str], body: bytes, url: str, connections: int, seconds: float, rps: float) -> LoadResult:
    if shutil.which("h2load") is None:
        raise Failure("h2load is not installed; run 'apt-get install nghttp2-client'")
    with tempfile.TemporaryDirectory(prefix="flywheel-load-") as place:
        data, log = Path(place, "body"), Path(place, "log")
        data.write_bytes(body)
        offered = [f"--rps={rps / connections:g}"] if rps else []
        command = [
            "taskset", "--cpu-list", CORE, "h2load", "--clients", str(connections), "--threads", "1",
            "--max-concurrent-streams", "1", "--duration", f"{seconds:g}", "--warm-up-time", f"{WARM_UP:g}",
            "--data", str(data), "--log-file", str(log), *offered, *words, url,
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + WARM_UP + 30)
        if done.returncode != 0:
            raise Failure(f"h2load ended with {done.returncode}: {done.stderr.strip()[-300:]}")
        return _read(log, seconds)


def _read(log: Path, seconds: float) -> LoadResult:
    """Its log has a line for each request: start in µs, status, duration in µs."""
    lines = np.loadtxt(log, dtype=np.int64, delimiter="\t", ndmin=2)
    if not len(lines):
        raise Failure("h2load counted no answer; the server takes no connection, or closes each")
    good = lines[lines[:, 1] == 200, 2] / 1000
    p50, p99 = np.percentile(good, [50, 99]) if len(good) else (float("inf"), float("inf"))
    return LoadResult(len(good) / seconds, (len(lines) - len(good)) / seconds, float(p50), float(p99))

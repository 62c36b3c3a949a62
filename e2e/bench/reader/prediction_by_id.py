"""How long one logged prediction takes to be found: `python -m e2e.bench.reader.prediction_by_id`, without a cluster. The result is in `results/prediction_by_id.md`.

The log is that of a day of seven pods, which write a file each minute: 10,080 Parquet files. Requests go over HTTP with the caller's rights;
store and API server are on loopback. The files lie in versitygw's folder, with the times at which a writer would have written them.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from arro3.core import Array, DataType

from e2e.bench import targets
from e2e.bench.reader.__main__ import reader
from e2e.bench.targets import Target
from tests.reader import cluster_double
from tests.reader.http_get import Response, get
from tests.reader.routes import parquet_bytes
from tests.runtime import s3_server

COMMAND = "python -m e2e.bench.reader.prediction_by_id"
PODS, HOURS, ROWS = 7, 24, 200
FILES = PODS * HOURS * 60
ROUNDS = 20
SERVICE = "delay"
random = np.random.default_rng(18)


def main() -> int:
    """1 if a promise is not kept."""
    with (
        tempfile.TemporaryDirectory() as text,
        cluster_double.running() as cluster,
        s3_server.running(Path(text)) as s3,
    ):
        cluster.tokens["token"] = ("alice", "flywheel-reader")
        cluster.rights["alice"] = {("*", "*", "shop", "*")}
        s3.make_bucket("models")
        start = int(time.time()) // 3600 * 3600 - HOURS * 3600
        write_log(s3.folder / "models" / "shop", start)
        with reader(Path(text), s3, cluster.url) as (port, _pid):
            found = measure(port, start)
    checked = [
        Target(f"an id of the server among {FILES:,} files, median", found["server"]["p50_ms"], 1000, "ms"),
        Target("the same, the worst of 20", found["server"]["worst_ms"], 1000, "ms"),
        Target("an id that is not in the log, median", found["absent"]["p50_ms"], 1000, "ms"),
        Target("an id that a client chose, with its hour, median", found["own"]["p50_ms"], 1000, "ms"),
    ]
    targets.write_results("prediction_by_id", COMMAND, found, checked)
    print(targets.format_targets(checked))
    return 0 if all(each.is_met for each in checked) else 1


def boot(pod: int) -> str:
    """The boot of a pod's server."""
    return f"{pod:012x}"


def write_log(folder: Path, start: int) -> None:
    """A file for each pod and minute, with ids of the server, and one that a client chose in each."""
    values = Array(random.random(ROWS).tolist(), DataType.float64())
    for minute in range(HOURS * 60):
        for pod in range(PODS):
            begun = start + 60 * minute
            prefix = f"{boot(pod)}-{begun // 60:x}"
            ids = [f"{prefix}-{minute * ROWS + number}" for number in range(ROWS - 1)]
            columns = {"id": Array([*ids, own_id(minute, pod)], DataType.string()), "value": values}
            hour = datetime.fromtimestamp(begun, UTC).strftime("dt=%Y-%m-%d/hour=%H")
            file = folder / f"predictions/{SERVICE}/rows/{hour}/pod=p{pod}/p{pod}-0a1b2c3d-{minute:06}.parquet"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(parquet_bytes(columns))
            os.utime(file, (begun + 60, begun + 60))


def own_id(minute: int, pod: int) -> str:
    """An id such as a client's: it says nothing of its time, and the bounds of its file exclude few."""
    return f"order-{(minute * 7919 + pod * 104729) % 1_000_003}"


def measure(port: int, start: int) -> dict[str, dict[str, float]]:
    """Milliseconds of each sort of question, with a first one before that nobody counts."""

    def ask(id_: str, around: str = "") -> Response:
        path = f"/v1/namespaces/shop/inferenceservices/{SERVICE}/prediction?id={quote(id_)}"
        return get(port, path + (f"&around={around}" if around else ""), {"Authorization": "Bearer token"})

    def time_questions(question: Callable[[int, int], Response], status: int) -> dict[str, float]:
        taken = []
        for number in range(ROUNDS + 1):
            minute, pod = int(random.integers(HOURS * 60)), int(random.integers(PODS))
            begun = time.perf_counter()
            response = question(minute, pod)
            taken.append((time.perf_counter() - begun) * 1000)
            assert response.status == status, response.body[:500]
            assert status != 200 or len(response.json["items"]) == 1, (number, response.json)
        return {"p50_ms": round(statistics.median(taken[1:]), 1), "worst_ms": round(max(taken[1:]), 1)}

    def minute_of(minute: int) -> int:
        return start // 60 + minute

    def server(minute: int, pod: int) -> Any:
        return ask(f"{boot(pod)}-{minute_of(minute):x}-{minute * ROWS + 7}")

    def absent(minute: int, _pod: int) -> Any:
        return ask(f"{boot(99)}-{minute_of(minute):x}-7")

    def own(minute: int, pod: int) -> Any:
        around = datetime.fromtimestamp(minute_of(minute) * 60, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return ask(own_id(minute, pod), around)

    return {
        "server": time_questions(server, 200),
        "absent": time_questions(absent, 404),
        "own": time_questions(own, 200),
    }


if __name__ == "__main__":
    raise SystemExit(main())

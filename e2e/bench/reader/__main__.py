"""How fast the reader is, and how large: `python -m e2e.bench.reader`, without a cluster. The result is in `results/reader.md`.

The first page of 10,000 trials by metric, over HTTP with the caller's rights and a look for new records in the store, in turn with
`mlflow.search_runs` of the same runs in SQLite; also with a filter. Store and API server are on loopback: versitygw, and the double
that the tests have. The reader's memory is its highest after that and after the curve of a million points.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlencode

from e2e import setup
from e2e.bench import targets
from e2e.bench.reader.client_import import measure_import
from e2e.bench.reader.runs import RUNS, make_runs
from e2e.bench.targets import Figures, Target
from e2e.waiting import wait_until
from tests.reader import cluster_double
from tests.reader.http_get import Response, get
from tests.reader.seeds import Seeds, new_record
from tests.runtime import s3_server
from tests.runtime.s3_server import free_port, is_listening

COMMAND = "make bench-reader"
ROUNDS = 7
POINTS = 1_000_000
PAGE = 50
BY_METRIC = {"orderBy": "metrics.roc_auc DESC", "limit": str(PAGE)}
FILTER = "metrics.metric_1 > 0.5 and params.estimator = 'MLPClassifier' and tags.team = 'a'"
MIB = 1 << 20


def main() -> int:
    """1 if a promise is not kept."""
    setup.mlflow()
    runs = make_runs()
    with (
        tempfile.TemporaryDirectory() as text,
        cluster_double.running() as cluster,
        s3_server.running(Path(text)) as s3,
    ):
        folder = Path(text)
        cluster.tokens["token"] = ("alice", "flywheel-reader")
        cluster.rights["alice"] = {("*", "*", "shop", "*")}
        s3.make_bucket("models")
        seed(Seeds.of_server(s3, "models", "shop"), runs)
        with reader(folder, s3, cluster.url) as (port, pid), mlflow(folder, runs) as peer:
            found = measure(port, peer)
            found["memory"] = {"after_searches_mib": peak_mib(pid)}
            found["curve"] = {"of_a_million_points_seconds": measure_curve(port)}
            found["memory"]["at_the_end_mib"] = peak_mib(pid)
    found["client"] = measure_import()
    checked = judge(found)
    targets.write_results("reader", COMMAND, found, checked)
    print(targets.format_targets(checked))
    return 0 if all(each.is_met for each in checked) else 1


def measure(port: int, peer: "Peer") -> dict[str, Figures]:
    """Seconds of both sides in turn, after a first page each."""
    filtered = {**BY_METRIC, "filter": FILTER}
    first, body = fetch(port, f"trials?{urlencode(BY_METRIC)}")
    assert body.json["total"] == RUNS + 1
    best = peer.search(order_by=["metrics.roc_auc DESC"], max_results=PAGE)
    assert best["rows"] == PAGE
    assert best["best"] == body.json["items"][0]["metrics"]["roc_auc"]
    ours: list[float] = []
    theirs: list[float] = []
    ours_filtered: list[float] = []
    theirs_filtered: list[float] = []
    for _ in range(ROUNDS):
        ours.append(fetch(port, f"trials?{urlencode(BY_METRIC)}")[0])
        theirs.append(peer.search(order_by=["metrics.roc_auc DESC"], max_results=PAGE)["seconds"])
        ours_filtered.append(fetch(port, f"trials?{urlencode(filtered)}")[0])
        query = {"filter_string": FILTER, "order_by": ["metrics.roc_auc DESC"], "max_results": PAGE}
        theirs_filtered.append(peer.search(**query)["seconds"])
    return {
        "reader": {"first_page_after_start_seconds": round(first, 4), **figures(ours, ours_filtered)},
        "mlflow": {"first_search_seconds": round(best["seconds"], 4), **figures(theirs, theirs_filtered)},
    }


def figures(plain: list[float], filtered: list[float]) -> Figures:
    """Medians and worst of the two searches."""
    found = {"page": plain, "filtered": filtered}
    medians = {f"{name}_p50_seconds": round(statistics.median(each), 5) for name, each in found.items()}
    return {**medians, **{f"{name}_worst_seconds": round(max(each), 5) for name, each in found.items()}}


def judge(found: dict[str, Figures]) -> list[Target]:
    """The promises."""
    ours, theirs = found["reader"], found["mlflow"]
    ratio = round(theirs["page_p50_seconds"] / ours["page_p50_seconds"], 1)
    return [
        Target("first page of 10,000 trials by metric, median", ours["page_p50_seconds"] * 1000, 300, "ms"),
        Target("the same right after the reader's start", ours["first_page_after_start_seconds"] * 1000, 2000, "ms"),
        Target("times as fast as mlflow.search_runs of 3.17.2 on SQLite", ratio, 20, at_least=True),
        Target("peak RSS of the reader with 10,000 trials", found["memory"]["after_searches_mib"], 100, "MiB"),
        Target("peak RSS after the curve of 1,000,000 points too", found["memory"]["at_the_end_mib"], 100, "MiB"),
        Target("import of the Python client", found["client"]["import_seconds"], 0.5, "s"),
        Target("the same, and the first function of it", found["client"]["first_name_seconds"], 0.5, "s"),
    ]


def measure_curve(port: int) -> float:
    """Seconds of the first request for a curve of a million points, which is down-sampled and says so."""
    seconds, response = fetch(port, f"trials/uid-1.trial-{RUNS + 1}/curves")
    said = response.json["downsampled"]["loss"]
    assert said["points"] == POINTS
    assert said["shown"] <= 1000
    return round(seconds, 2)


def seed(seeds: Seeds, runs: list[dict[str, Any]]) -> None:
    """Writes the runs as records, and one more trial with a long curve."""
    records = [
        new_record(
            run["number"], estimator=run["estimator"], parameters=run["parameters"], metrics=run["metrics"], tags=run["tags"],
            state="Succeeded" if run["metrics"] else "Failed", startedAt=moment(run["start"]), finishedAt=moment(run["start"] + 60),
        )
        for run in runs
    ]  # fmt: skip
    lines = b"".join(b'{"step": %d, "name": "loss", "value": %f}\n' % (step, 1 / (step + 1)) for step in range(POINTS))
    seeds.records([*records, seeds.trial(RUNS + 1, {"metrics.jsonl": lines}, metrics={})], segments=True)


def moment(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def fetch(port: int, path: str) -> tuple[float, Response]:
    """Seconds and response, without the cost of reading JSON."""
    started = time.perf_counter()
    response = get(port, f"/v1/namespaces/shop/{path}", {"Authorization": "Bearer token"})
    seconds = time.perf_counter() - started
    assert response.status == 200, response.body
    return seconds, response


def peak_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return round(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / MIB, 1)


@contextmanager
def reader(folder: Path, s3: s3_server.Server, api_server: str) -> Iterator[tuple[int, int]]:
    """Port and pid of a reader, with the environment that the chart gives it."""
    stores = folder / "stores" / "shop"
    stores.mkdir(parents=True)
    (folder / "token").write_text("token-of-the-reader")
    for key, value in s3.env("models").items():
        (stores / key).write_text(value)
    port = free_port()
    command = [
        sys.executable, "-m", "flywheel_reader", "--host", "127.0.0.1", "--port", str(port),
        "--health-port", str(free_port()), "--stores", str(folder / "stores"), "--api-server", api_server, "--credentials", str(folder),
    ]  # fmt: skip
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "MALLOC_ARENA_MAX": "2",
        "TOKIO_WORKER_THREADS": "2",
    }
    with subprocess.Popen(command, env=environment) as process:
        try:
            wait_until(lambda: is_listening(port) or process.poll() is not None, 60)
            yield port, process.pid
        finally:
            process.terminate()


class Peer:
    """MLflow in its own process; it answers one search after the other."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        print(f"MLflow {self._read()['version']} has the same runs")

    def search(self, **query: Any) -> dict[str, Any]:
        """The seconds of `mlflow.search_runs` with these arguments, and what it found."""
        stdin: IO[str] | None = self._process.stdin
        assert stdin is not None
        stdin.write(json.dumps(query) + "\n")
        stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "MLflow's process has ended; its error is above"
        found: dict[str, Any] = json.loads(line)
        return found


@contextmanager
def mlflow(folder: Path, runs: list[dict[str, Any]]) -> Iterator[Peer]:
    """MLflow with the runs in SQLite."""
    (folder / "runs.json").write_text(json.dumps(runs))
    python = setup.ENVIRONMENT / "mlflow/bin/python"
    command = [
        str(python),
        str(Path(__file__).with_name("peer_mlflow.py")),
        str(folder / "runs.json"),
        str(folder / "runs.db"),
    ]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            yield Peer(process)
        finally:
            process.terminate()


if __name__ == "__main__":
    sys.exit(main())

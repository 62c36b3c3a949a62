"""The demo's traffic: April's flights with their delays, as if one day of flights lasted half an hour and the last one had just ended."""

import json
import tempfile
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy

from demo import flights
from e2e import kube, replay
from flywheel_runtime.store.artifacts import Store
from flywheel_runtime.store.retry import Retry
from flywheel_serving.prediction_log.config import LogConfig

MONTH, DAYS = 4, 28  # four weeks: on the 29th the delays are as predicted again, and the finding ends
WINDOW, LABEL_DELAY = (
    timedelta(minutes=30),
    timedelta(minutes=30),
)  # window and groundTruth.delay.max of 6-modelmonitor.yaml
LABEL_TIME = timedelta(minutes=20)  # after the flight's prediction, when its delay is posted
SETTLING_TIME = timedelta(minutes=2)  # after which a monitor tests a window
POD = "flight-delay-replayed"
QUERY = """
    SELECT *, (day - 1) + (sched_dep_time // 100 * 60 + sched_dep_time % 100) / 1440 AS days
    FROM read_csv($files, types = {'time_hour': 'VARCHAR'}) WHERE month = $month AND day <= $days ORDER BY days, flight_id
"""


@dataclass(frozen=True)
class ServedVersion:
    """The version that answers: its name, and the digest of its artifact."""

    name: str
    digest: str


def replay_flights(namespace: str, service: str, version: ServedVersion, now: datetime) -> int:
    """Write what servers of the version would have logged of April's flights, and return the number of flights."""
    rows = duckdb.execute(
        QUERY,
        {"files": [str(each) for each in sorted(flights.flights_folder().iterdir())], "month": MONTH, "days": DAYS},
    ).df()
    first = first_window(now)
    times = first.timestamp() + rows["days"].to_numpy(numpy.float64) * WINDOW.total_seconds()
    traffic = replay.Traffic(rows, times, rows["late"].tolist(), LABEL_TIME.total_seconds())
    config = LogConfig(sample=1.0, service=service, namespace=namespace, pod=POD, digest=version.digest)
    with tempfile.TemporaryDirectory() as folder:
        download(namespace, version.digest, Path(folder))
        server = replay.ReplayedServer(Path(folder), version.name, config, f"{int(first.timestamp()):012x}")
        replay.remove_replayed(config)
        replay.upload(server.replay(traffic))
    return len(rows)


def first_window(now: datetime) -> datetime:
    """The start of the window with the first of April, so that the labels of the last day are complete by now."""
    last_end = now - SETTLING_TIME - LABEL_DELAY
    whole = last_end - timedelta(seconds=last_end.timestamp() % WINDOW.total_seconds())
    return whole - DAYS * WINDOW


def day_of(time: datetime, first: datetime) -> int:
    """The day of April that was replayed at that time."""
    return (time - first) // WINDOW + 1


def download(namespace: str, digest: str, folder: Path) -> None:
    """The files of an artifact, in a folder."""
    store = Store.from_env(kube.store_environment(), namespace, Retry())
    for file in store.manifest(digest).files:
        store.download_file(file, folder)


def read_report(namespace: str, digest: str) -> dict[str, Any]:
    """report.json of a monitor's run."""
    store = Store.from_env(kube.store_environment(), namespace, Retry())
    [file] = [each for each in store.manifest(digest).files if each.path == "report.json"]
    return dict(json.loads(store.read_file(file)))

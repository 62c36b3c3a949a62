"""The replay of traffic writes the log that a server would have written then."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from e2e.replay import ReplayedServer, Traffic
from flywheel_serving.prediction_log.config import parse_log_config
from tests.runtime.s3_server import Server
from tests.serving.prediction_log.log_store import LogStore, Row, body, send_request, start_server, stop_server

BOOT = "0123456789ab"
HOUR = 1_766_307_600  # 2025-12-21T09:00:00Z
ROWS: list[tuple[float | None, float | None, str | None]] = [(1, 2.5, "DL"), (13, 30.0, None), (0, -1.0, "AA"), (6, 12.5, "UA")]  # fmt: skip
TABLE = pd.DataFrame(ROWS, columns=["month", "wind", "carrier"])


@pytest.fixture
def folder_store(tmp_path: Path) -> LogStore:
    """A log in a folder, which no server serves."""
    return LogStore(Server(0, tmp_path), "bucket", tmp_path / "secret")


def replay(folder: Path, log_store: LogStore, traffic: Traffic) -> None:
    """Writes the log of the traffic into the store's folder."""
    server = ReplayedServer(folder, "v1", parse_log_config(log_store.config_json()), BOOT)
    for key, content in server.replay(traffic):
        path = log_store.store.folder / log_store.bucket / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def without_times(rows: list[Row]) -> list[Row]:
    """The rows without what differs between two requests."""
    return [{name: row[name] for name in row if name not in ("id", "time", "latency_seconds")} for row in rows]


@pytest.mark.integration  # starts a model server in its own process
def test_it_is_that_of_a_server_which_got_the_same_rows(logged_flights: Path, log_store: LogStore) -> None:
    with start_server(logged_flights, log_store.config_json()) as server:
        send_request(server, body(ROWS))
        stop_server(server)
    [window], rows = log_store.windows(), log_store.rows()

    replay(logged_flights, log_store, Traffic(TABLE, np.full(4, HOUR, float), [1, 0, 0, 1]))

    [replayed] = [each for each in log_store.windows() if each["boot"] == BOOT]
    assert without_times([row for row in log_store.rows() if row["id"].startswith(BOOT)]) == without_times(rows)
    assert window.pop("responses")["latencySeconds"], "what a replay does not measure"
    assert replayed == {**window, **{name: replayed[name] for name in ("boot", "from", "to")}}


def test_times_are_those_that_are_given(logged_flights: Path, folder_store: LogStore) -> None:
    times = HOUR + np.array([0.0, 30.0, 65.0, 3_700.0])

    replay(logged_flights, folder_store, Traffic(TABLE, times, [1, 0, "late", True], label_seconds=120))

    assert [each["from"] for each in folder_store.windows()] == [
        f"2025-12-21T{time}.000Z" for time in ("09:00:00", "09:01:00", "10:01:00")
    ]
    assert [(row["id"], row["row"], row["time"] // 1e6 - HOUR) for row in folder_store.rows()] == [
        (f"{BOOT}-1", 0, 0),
        (f"{BOOT}-1", 1, 0),
        (f"{BOOT}-2", 0, 65),
        (f"{BOOT}-3", 0, 3_700),
    ]
    assert [file.parent.parent.name for file in folder_store.files] == ["hour=09", "hour=10"]
    assert [(row["id"], row["row"], row["label"], row["time"] // 1e6 - HOUR) for row in folder_store.labels()] == [
        (f"{BOOT}-1", 0, "1", 180),
        (f"{BOOT}-1", 1, "0", 180),
        (f"{BOOT}-2", 0, "late", 240),
        (f"{BOOT}-3", 0, "true", 3_840),
    ]


def test_rows_of_a_minute_are_requests_of_bounded_size(logged_flights: Path, folder_store: LogStore) -> None:
    table = pd.concat([TABLE] * 300, ignore_index=True)

    replay(logged_flights, folder_store, Traffic(table, np.full(1_200, HOUR, float), [0] * 1_200))

    [window] = folder_store.windows()
    assert (window["requests"], window["rows"]) == (2, 1_200)
    assert [row["row"] for row in folder_store.rows()] == [*range(1_000), *range(200)]
    assert len(folder_store.labels()) == 1_200


def test_windows_of_one_server_have_no_gap(logged_flights: Path, folder_store: LogStore) -> None:
    replay(logged_flights, folder_store, Traffic(TABLE, HOUR + np.array([0.0, 60.0, 60.0, 600.0]), [1, 0, 0, 1]))

    assert [(each["window"], each["rows"], each["sinceBoot"]["rows"]) for each in folder_store.windows()] == [
        (0, 1, 1),
        (1, 2, 3),
        (2, 1, 4),
    ]


def test_a_version_without_a_baseline_is_refused(flights: Path, folder_store: LogStore) -> None:
    with pytest.raises(ValueError, match="v1 has no baseline"):
        replay(flights, folder_store, Traffic(TABLE, np.full(4, HOUR, float), [1, 0, 0, 1]))

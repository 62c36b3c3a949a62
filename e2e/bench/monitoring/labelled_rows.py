"""A window of a million logged rows of 30 columns, joined with its labels and tested: `python -m e2e.bench.monitoring.labelled_rows FOLDER`.

The rows and labels are files as the log sink writes them. Every column is put into the bins of its reference and tested for drift, as
the servers and the monitor do it, and the labelled predictions are joined and tested. Evidently's drift preset gets 100,000 of the rows,
in an environment of its own (`evidently_preset.py`), and its seconds times ten are those of a million.
"""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import numpy as np

from e2e.bench.monitoring.peer_rules import EVIDENTLY
from e2e.bench.targets import Figures
from flywheel_runtime.datasets.sql import connect
from flywheel_runtime.monitoring.labels.join import Delay, join_labels
from flywheel_runtime.monitoring.labels.performance import PerformanceTarget, TestMetric, measure_performance
from flywheel_runtime.monitoring.labels.sources import OutputNames, read_logged_rows, read_posted_labels
from flywheel_runtime.monitoring.statistics.monitored_stream import drift_stream, observe_window

ROWS, COLUMNS, PEER_ROWS = 1_000_000, 30, 100_000
START, HOUR = 1_799_996_400, 3_600
BINS, BLOCKS = 20, 60
MEMORY_LIMIT = "280MiB"  # of the database: a pod of 512 MiB
ALLOWANCE = 1e-6
ROUNDS = 3


def write_window(folder: Path) -> None:
    """The rows of one hour, labels for nine of ten of them, and 100,000 rows of a reference and of the hour for the peer."""
    features = ", ".join(f"'f{number}': (random() * 10 + {number})::FLOAT" for number in range(COLUMNS))
    with duckdb.connect() as connection:
        connection.execute("SELECT setseed(0.5)")
        connection.execute(
            f"COPY (SELECT '3f12b3b13160-' || number AS id, 0 AS row, to_timestamp({START} + number * {HOUR} / {ROWS}) AS time, 'v1' AS version, "
            f"'sha256:1' AS digest, 0.001 AS latency_seconds, 'Direct' AS route, {{{features}}} AS features, {{'label': (p > 0.5)::BIGINT, "
            f"'probabilities': [1 - p, p]::FLOAT[]}} AS outputs FROM (SELECT number, random() AS p FROM range({ROWS}) AS numbers(number))) "
            f"TO '{folder}/rows.parquet' (FORMAT parquet, COMPRESSION zstd)"
        )
        connection.execute(
            f"COPY (SELECT id, row, NULL::VARCHAR AS key, (random() < outputs.probabilities[2])::INT::VARCHAR AS label, time FROM '{folder}/rows.parquet' "
            f"WHERE random() < 0.9) TO '{folder}/labels.parquet' (FORMAT parquet, COMPRESSION zstd)"
        )
        for name, start in (("reference", 0), ("current", PEER_ROWS)):
            connection.execute(
                f"COPY (SELECT unnest(features) FROM '{folder}/rows.parquet' LIMIT {PEER_ROWS} OFFSET {start}) TO '{folder}/{name}.csv' (HEADER)"
            )


def test_window(folder: Path) -> Figures:
    """Joins and tests the window; seconds and peak memory of this process."""
    start = time.perf_counter()
    with connect(threads=2) as connection:
        connection.execute(f"SET memory_limit = '{MEMORY_LIMIT}'")
        for number in range(COLUMNS):
            _test_column(connection, folder, number)
        read_logged_rows(connection, [folder / "rows.parquet"], OutputNames())
        read_posted_labels(connection, [folder / "labels.parquet"])
        joined = join_labels(connection, {"v1": ("0", "1")}, [START], HOUR, Delay(0, HOUR))
    [window] = joined.windows
    performance = measure_performance(window, PerformanceTarget("roc_auc", 0.03), TestMetric(0.833, 5_000))
    _, outcome = performance.observe(None, ALLOWANCE, 300)
    assert outcome.status == "Quiet"
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "seconds": round(time.perf_counter() - start, 3),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 3),
        "peak_mib": round(used.ru_maxrss / 1024, 1),
    }


def _test_column(connection: duckdb.DuckDBPyConnection, folder: Path, number: int) -> None:
    """The drift of one column, in blocks of a minute."""
    query = f"SELECT features.f{number} AS value FROM read_parquet('{folder}/rows.parquet')"
    values = connection.execute(query).fetchnumpy()["value"]
    edges = np.linspace(number, number + 10, BINS + 1, dtype=np.float32)
    bins = np.searchsorted(edges[1:-1], values, side="right")
    blocks = np.bincount(bins + BINS * (np.arange(len(bins)) * BLOCKS // len(bins)), minlength=BINS * BLOCKS)
    stream = drift_stream(np.full(BINS, 1_000), 0.1, BINS)
    _, outcome = observe_window(stream, None, blocks.reshape(BLOCKS, BINS), ALLOWANCE, START)
    assert outcome.status == "Quiet"


def measure(folder: Path) -> dict[str, Figures]:
    """Medians of some rounds, alternating with the peer."""
    write_window(folder)
    script = Path(__file__).with_name("evidently_preset.py")
    commands = {
        "a million labelled rows": [sys.executable, "-m", "e2e.bench.monitoring.labelled_rows", str(folder)],
        "Evidently's drift preset, 100,000 rows": [str(EVIDENTLY), "-I", str(script), str(folder)],
    }
    rounds: dict[str, list[Figures]] = {name: [] for name in commands}
    for _ in range(ROUNDS):
        for name, command in commands.items():
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            rounds[name].append(json.loads(done.stdout.splitlines()[-1]))
    return {
        name: {key: sorted(each[key] for each in found)[ROUNDS // 2] for key in found[0]}
        for name, found in rounds.items()
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(test_window(Path(sys.argv[1]))) + "\n")

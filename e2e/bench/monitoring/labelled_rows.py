"""A monitor's run over a million logged rows of 30 columns with their labels: `python -m e2e.bench.monitoring.labelled_rows FOLDER`.

The model was brought, so that no server has counted the rows: the run reads them, puts every column into its bins and tests it for drift,
joins the rows with their labels, tests the performance, and writes the report. The files are as the log sink writes them, and the limits
are those of a pod of 512 MiB. The hour before, with 20,000 rows, is the reference.

Beside it, in an environment of its own (`evidently_preset.py`), Evidently's drift preset gets 100,000 of these rows, and once all of them.
It reads no labels, and its seconds are without reading.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import Any

import duckdb

from e2e.bench.targets import Figures, peak_mib
from flywheel_runtime.commands.monitor import main as monitor
from flywheel_runtime.contract import cgroup
from flywheel_runtime.contract.step import write_json
from flywheel_runtime.monitoring.report.sentences import format_time

ROWS, COLUMNS, PEER_ROWS, REFERENCE_ROWS = 1_000_000, 30, 100_000, 20_000
START, HOUR = 1_799_996_400, 3_600
FILE_ROWS = 50_000  # of the log sink
MEMORY_BYTES = 512 << 20  # of the pod
ROUNDS = 3
VERSION, DIGEST = "v1", "sha256:1"
EVALUATION = {"v": 1, "test": {"digest": None, "rows": 10_000, "metrics": {"roc_auc": 0.833}}}
SIGNATURE = {"classes": ["0", "1"], "inputs": [], "outputs": [{"name": "label"}, {"name": "probabilities"}]}


def write_inputs(root: Path) -> None:
    """The inputs of the run, after a run over the hour before, which left its state; and tables for the peer beside them."""
    rows, labels = root / "inputs" / "rows", root / "inputs" / "labels"
    version = root / "inputs" / f"version-{VERSION}"
    for folder in (rows, labels, version):
        folder.mkdir(parents=True)
    write_json(version / "evaluation.json", EVALUATION)
    write_json(version / "signature.json", SIGNATURE)
    with duckdb.connect() as connection:
        connection.execute("SELECT setseed(0.5)")
        _write_hour(connection, root, START - HOUR, REFERENCE_ROWS)
        assert _run(root, START - HOUR) == 0
        (root / "outputs" / "state").rename(root / "inputs" / "state")
        _write_hour(connection, root, START, ROWS)
        files = f"read_parquet('{rows}/{START}-*.parquet')"
        tables = {
            "reference.csv": f"{files} LIMIT {PEER_ROWS}",
            "current.csv": f"{files} LIMIT {PEER_ROWS} OFFSET {PEER_ROWS}",
            "whole.csv": files,
        }
        for name, source in tables.items():
            connection.execute(f"COPY (SELECT unnest(features) FROM {source}) TO '{root / name}' (HEADER)")


def _write_hour(connection: duckdb.DuckDBPyConnection, root: Path, start: int, rows: int) -> None:
    """The rows of an hour, and labels for nine of ten of them."""
    features = ", ".join(f"'f{number}': (random() * 10 + {number})::FLOAT" for number in range(COLUMNS))
    for first in range(0, rows, FILE_ROWS):
        number = first // FILE_ROWS
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE file AS SELECT '{start}-' || number AS id, 0 AS row, "
            f"to_timestamp({start} + number * {HOUR} / {rows}) AS time, '{VERSION}' AS version, '{DIGEST}' AS digest, "
            f"0.001 AS latency_seconds, 'Direct' AS route, {{{features}}} AS features, "
            f"{{'label': (p > 0.5)::BIGINT, 'probabilities': [1 - p, p]::FLOAT[]}} AS outputs "
            f"FROM (SELECT number, random() AS p FROM range({first}, {min(rows, first + FILE_ROWS)}) AS numbers(number))"
        )
        labels = "SELECT id, row, NULL::VARCHAR AS key, (random() < outputs.probabilities[2])::INT::VARCHAR AS label, time FROM file WHERE random() < 0.9"
        for folder, source in (("rows", "FROM file"), ("labels", labels)):
            path = root / "inputs" / folder / f"{start}-{number:03}.parquet"
            connection.execute(f"COPY ({source}) TO '{path}' (FORMAT parquet, COMPRESSION zstd)")


def _run(root: Path, start: int) -> int:
    """The command `monitor` over the hour from `start`."""
    params: dict[str, Any] = {
        "service": "delay", "namespace": "shop", "windowSeconds": HOUR, "versions": [{"name": VERSION, "digest": DIGEST}],
        "from": format_time(start), "until": format_time(start + HOUR),
        "signals": {
            "featureDrift": {"psi": "0.1"}, "predictionDrift": {"psi": "0.1"}, "performance": {"metric": "roc_auc", "maxDrop": "0.03"},
        },
        "groundTruth": {"minDelaySeconds": 0, "maxDelaySeconds": 0},
    }  # fmt: skip
    write_json(root / "params.json", params)
    os.environ |= {"FLYWHEEL_ROOT": str(root), "FLYWHEEL_TERMINATION_LOG": str(root / "termination-log")}
    cgroup.memory_limit_bytes = lambda groups=cgroup.ROOT: MEMORY_BYTES
    with redirect_stdout(sys.stderr):
        return monitor.main()


def run_monitor(root: Path) -> Figures:
    """The measured run; seconds without those of importing, as the peer's are."""
    import_module("matplotlib.backends.backend_svg")  # which the run imports when it draws
    start = time.perf_counter()
    assert _run(root, START) == 0
    seconds = time.perf_counter() - start
    report = json.loads((root / "outputs" / "report" / "report.json").read_bytes())
    states = {name: each["state"] for name, each in report["signals"].items()}
    assert report["rows"] == ROWS, report["rows"]
    assert set(states.values()) == {"True"}, report["signals"]
    return {"seconds": round(seconds, 3), "cpu_seconds": round(time.process_time(), 3), "peak_mib": peak_mib()}


def measure(folder: Path) -> dict[str, Figures]:
    """Medians of some rounds, alternating with the peer's; the peer has all rows once."""
    from e2e.bench.monitoring.peer_rules import EVIDENTLY  # with scipy, which is no memory of the run's

    write_inputs(folder)
    ours = [sys.executable, "-m", "e2e.bench.monitoring.labelled_rows", str(folder)]
    peer = [str(EVIDENTLY), "-I", str(Path(__file__).with_name("evidently_preset.py")), str(folder)]
    rounds = [(_measure(ours), _measure([*peer, "current"])) for _ in range(ROUNDS)]
    return {
        "a million labelled rows": _medians([each for each, _ in rounds]),
        "Evidently's drift preset, 100,000 rows": _medians([each for _, each in rounds]),
        "Evidently's drift preset, a million rows": _measure([*peer, "whole"]),
    }


def _measure(command: list[str]) -> Figures:
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: Mapping[str, float] = json.loads(done.stdout.splitlines()[-1])
    return dict(found)


def _medians(found: list[Figures]) -> Figures:
    return {key: sorted(each[key] for each in found)[len(found) // 2] for key in found[0]}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run_monitor(Path(sys.argv[1]))) + "\n")

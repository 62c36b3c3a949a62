"""What a run of a monitor costs, each part in a process of its own: `python -m e2e.bench.monitoring.roll_ups PART FOLDER`.

20 pods serve a model of 200 features, with a document for each minute. `hour` reads the 1,200 documents of an hour and adds them. `day`
reads 24 stored roll-ups and adds them. `run` is the whole command `monitor` over that hour, with its tests and its report. The
documents are counted by the server's code.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np

from e2e.bench.targets import Figures, peak_mib
from flywheel_runtime.commands.monitor import main as monitor
from flywheel_runtime.contract.step import write_json
from flywheel_runtime.monitoring.documents import CountDocument, DocumentProblems, DocumentReader
from flywheel_runtime.monitoring.layout import Layout
from flywheel_runtime.monitoring.rollup import Rollup, merge_all, roll_up
from tests.runtime.monitoring.traffic import (
    NAMESPACE,
    SERVICE,
    START,
    Server,
    baseline_bytes,
    draw_rows,
    make_baseline,
    timestamp,
    write_document,
)

PODS, MINUTES, NUMBERS, HOURS = 20, 60, 199, 24  # a category is the 200th feature
ROWS = 30  # of a pod's minute
REFERENCE_ROWS = 10_000
ROUNDS = 5
HOUR = int(START.timestamp())


def measure_parts(folder: Path) -> dict[str, Figures]:
    """Seconds and peak memory (MiB) of each part; the seconds are the median of some rounds."""
    write_traffic(folder)
    return {part: _measure_part(part, folder) for part in PARTS}


def _measure_part(part: str, folder: Path) -> Figures:
    command = [sys.executable, "-m", "e2e.bench.monitoring.roll_ups", part, str(folder)]
    rounds = [
        json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout) for _ in range(ROUNDS)
    ]
    return {name: sorted(each[name] for each in rounds)[ROUNDS // 2] for name in rounds[0]}


def write_traffic(root: Path) -> None:
    """The inputs of a run: an hour of documents and the baseline; and beside them 24 roll-ups."""
    generator = np.random.default_rng(1)
    baseline = make_baseline(draw_rows(generator, REFERENCE_ROWS, NUMBERS))
    counts = root / "inputs" / "counts"
    server = Server(counts, baseline)
    minutes = [
        server.serve(draw_rows(generator, ROWS, NUMBERS), START + timedelta(minutes=minute), write=False)
        for minute in range(MINUTES)
    ]
    for pod in range(PODS):
        for minute, document in enumerate(minutes):
            served = {"requests": ROWS * (minute + 1), "rows": ROWS * (minute + 1)}
            write_document(counts, document | {"pod": f"pod-{pod}", "sinceBoot": served})
    version = root / "inputs" / f"version-{server.version}"
    version.mkdir(parents=True)
    (version / "baseline.json").write_bytes(baseline_bytes(baseline))
    hour = roll_up(_read(root), HOUR, 3_600)
    hours = [
        replace(
            hour,
            start=HOUR + 3_600 * number,
            sources={(pod, f"{boot}-{number}"): source for (pod, boot), source in hour.sources.items()},
        )
        for number in range(HOURS)
    ]
    write_json(root / "day.json", {"layout": hour.layout.to_json(), "rollups": [each.to_json() for each in hours]})
    params = {
        "service": SERVICE,
        "namespace": NAMESPACE,
        "from": timestamp(START),
        "until": timestamp(START + timedelta(hours=1)),
        "windowSeconds": 3_600,
        "signals": {"featureDrift": {"psi": "0.1"}, "predictionDrift": {"psi": "0.1"}},
        "versions": [{"name": server.version, "digest": server.digest}],
    }
    write_json(root / "params.json", params)


def _read(root: Path) -> Iterator[CountDocument]:
    return DocumentReader(NAMESPACE, SERVICE, DocumentProblems()).read([root / "inputs" / "counts"])


def add_hour(root: Path) -> None:
    """Reads the documents of an hour, and adds them."""
    assert roll_up(_read(root), HOUR, 3_600).rows == PODS * MINUTES * ROWS


def add_day(root: Path) -> None:
    """Reads 24 roll-ups, and adds them."""
    stored = json.loads((root / "day.json").read_bytes())
    layout = Layout.from_json(stored["layout"])
    assert merge_all(Rollup.from_json(each, layout) for each in stored["rollups"]).rows == HOURS * PODS * MINUTES * ROWS


def run_monitor(root: Path) -> None:
    """The whole command."""
    os.environ |= {"FLYWHEEL_ROOT": str(root), "FLYWHEEL_TERMINATION_LOG": str(root / "termination-log")}
    with redirect_stdout(sys.stderr):
        assert monitor.main() == 0


PARTS: dict[str, Callable[[Path], None]] = {"hour": add_hour, "day": add_day, "run": run_monitor}


def main() -> int:
    """Prints the seconds and the peak memory of one part."""
    began = time.perf_counter()
    PARTS[sys.argv[1]](Path(sys.argv[2]))
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": round(seconds, 3), "peak_mib": peak_mib()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())

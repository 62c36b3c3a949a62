"""A ModelMonitor and the command of its Jobs together: a week without drift is silent, and the day on which a feature shifts is not."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.kinds.modelmonitor.situations import Monitor

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(600),
]  # three runs of the command, of which each reads a thousand files

CHECKOUT = Path(__file__).resolve().parents[1]
COLUMNS = ("distance", "month")
EDGES = list(range(21))
UNIFORM = np.full(20, 1 / 20)
SHIFTED = np.concatenate([np.full(10, 0.02), np.full(10, 0.08)])
PARTS = 6  # documents in an hour
random = np.random.default_rng(17)


def cells(bins: Any) -> dict[str, Any]:
    return {"missing": 0, "invalid": 0, "under": 0, "over": 0, "bins": [int(each) for each in bins]}


def make_baseline() -> bytes:
    features = {
        name: {"type": "Float", "edges": EDGES, "counts": cells(random.multinomial(20_000, UNIFORM))}
        for name in COLUMNS
    }
    predictions = {"edges": EDGES, "counts": {"test": random.multinomial(20_000, UNIFORM).tolist()}}
    return json.dumps({"v": 1, "rows": 20_000, "features": features, "predictions": predictions}).encode()


class Week:
    """The store's part of the story: what servers count, and what one run leaves for the next."""

    def __init__(self, folder: Path) -> None:
        self.root, self.state = folder / "root", folder / "state"
        self.baseline = make_baseline()
        self.served = 0
        self.written = 0

    def run(self, params: dict[str, Any], distance: Any) -> dict[str, Any]:
        """Runs the command on the counts of its windows, and returns its facts."""
        shutil.rmtree(self.root, ignore_errors=True)
        for name in ("inputs/counts", "inputs/version-delay-1", "outputs/report", "outputs/state"):
            (self.root / name).mkdir(parents=True)
        (self.root / "params.json").write_text(json.dumps(params))
        (self.root / "inputs/version-delay-1/baseline.json").write_bytes(self.baseline)
        if self.state.exists():
            shutil.copytree(self.state, self.root / "inputs/state")
        hour, until = (datetime.fromisoformat(params[key]) for key in ("from", "until"))
        while hour < until:
            self._write_hour(hour, params["versions"][0]["digest"], distance)
            hour += timedelta(hours=1)
        environment = {
            **os.environ,
            "FLYWHEEL_ROOT": str(self.root),
            "FLYWHEEL_TERMINATION_LOG": str(self.root / "message"),
            "PYTHONPATH": str(CHECKOUT / "images/runtime"),
        }
        subprocess.run([sys.executable, "-m", "flywheel_runtime", "monitor"], env=environment, check=True)
        shutil.rmtree(self.state, ignore_errors=True)
        shutil.copytree(self.root / "outputs/state", self.state)
        facts: dict[str, Any] = json.loads((self.root / "outputs/facts.json").read_text())
        return facts

    def _write_hour(self, hour: datetime, digest: str, distance: Any) -> None:
        """More traffic by day than by night."""
        rows = 150 + 100 * (8 <= hour.hour < 20)
        for part in range(PARTS):
            start = hour + timedelta(minutes=10 * part)
            self.served += rows
            bins = {"distance": random.multinomial(rows, distance), "month": random.multinomial(rows, UNIFORM)}
            document = {
                "v": 1, "service": "delays", "namespace": "default", "pod": "delays-1", "boot": "0123456789ab",
                "window": self.written, "from": f"{start:%Y-%m-%dT%H:%M:%S}.000Z",
                "to": f"{start + timedelta(minutes=1):%Y-%m-%dT%H:%M:%S}.000Z", "version": "delay-1", "digest": digest,
                "baseline": f"sha256:{hashlib.sha256(self.baseline).hexdigest()}", "requests": rows, "rows": rows,
                "sinceBoot": {"requests": self.served, "rows": self.served},
                "features": {name: cells(each) for name, each in bins.items()},
                "predictions": {"rows": rows, **cells(random.multinomial(rows, UNIFORM))},
            }  # fmt: skip
            (self.root / f"inputs/counts/delays-1-{self.written:06}.json").write_text(json.dumps(document))
            self.written += 1


def test_a_null_week_is_silent_and_a_shifted_day_names_its_feature(tmp_path: Path) -> None:
    week, monitor = Week(tmp_path), Monitor()
    for number, days in ((1, 1), (2, 6)):  # the first run looks at one day, the second at what has ended since
        monitor.advance(days=days)
        monitor.add_tick(f"drift-{number}")
        monitor.settle()
        monitor.end(number, week.run(monitor.params(number), UNIFORM))
        monitor.settle()
        assert {type_: status for type_, (status, _reason) in monitor.condition.items()} == {
            "Ready": "True",
            "DataHealthy": "True",
            "NoDrift": "True",
        }
    assert monitor.status.findings == ()
    assert monitor.status.window.completeness == "1"
    assert not [reason for reason in monitor.events() if reason not in ("Scheduled", "Running", "Monitoring")]

    monitor.advance(days=1)
    monitor.add_tick("drift-3")
    monitor.settle()
    shifted_since = datetime.fromisoformat(monitor.params(3)["from"])
    monitor.end(3, week.run(monitor.params(3), SHIFTED))
    monitor.settle()

    assert monitor.condition["NoDrift"][0] == "False"
    assert monitor.condition["DataHealthy"][0] == "True"
    [finding] = monitor.status.findings
    assert (finding.signal, finding.subject, finding.version) == ("featureDrift", "distance", "delay-1")
    assert float(finding.effect or 0) > 0.1
    assert finding.since is not None
    assert shifted_since <= finding.since.astimezone(UTC) < shifted_since + timedelta(hours=3)
    assert monitor.status.budget.alarms == 1

"""Runs of a monitor one after the other, each with the state that the one before left."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flywheel_runtime.commands.monitor import main as monitor
from flywheel_runtime.monitoring.report import charts
from tests.runtime.commands.monitor.labelled import Labelled
from tests.runtime.monitoring.traffic import (
    DIGEST,
    NAMESPACE,
    SERVICE,
    START,
    Server,
    baseline_bytes,
    draw_rows,
    make_baseline,
    timestamp,
)

Rows = dict[str, Any]


@dataclass
class Monitored:
    """A service with traffic by the hour; `run_hour` does what the monitor's Job of that hour does."""

    root: Path
    generator: np.random.Generator = field(default_factory=lambda: np.random.default_rng(7))
    windows: int = 0

    def __post_init__(self) -> None:
        self.baseline = make_baseline(draw_rows(self.generator, 10_000))
        self.counts = self.root / "inputs" / "counts-0"
        self.counts.mkdir(parents=True)
        self.pod = self.add_pod()
        self.versions: list[str] = []
        self.add_version(self.pod)

    def add_pod(self, **fields: Any) -> Server:
        return Server(self.counts, **{"baseline": self.baseline, **fields})

    def add_version(self, pod: Server) -> None:
        """Gives the monitor the files of the pod's version."""
        folder = self.root / "inputs" / f"version-{pod.version}"
        folder.mkdir(parents=True)
        self.versions.append(pod.version)
        (folder / "baseline.json").write_bytes(baseline_bytes(pod.baseline))

    def serve_hour(
        self, pod: Server | None = None, rows: int = 1_200, change: Callable[[Rows], Rows] = lambda rows: rows
    ) -> None:
        """Traffic in the hour of the next run, twelve documents of equal size."""
        for minute in range(0, 60, 5):
            table = change(draw_rows(self.generator, rows // 12))
            (pod or self.pod).serve(table, self.start + timedelta(minutes=minute))

    @property
    def start(self) -> datetime:
        """The start of the next run's first window."""
        return START + timedelta(hours=self.windows)

    def run(self, hours: int = 1, expected: int = 0, **params: Any) -> dict[str, Any]:
        """Runs the monitor over the next hours, and returns its report."""
        end = self.start + timedelta(hours=hours)
        document = {
            "service": SERVICE,
            "namespace": NAMESPACE,
            "from": timestamp(self.start),
            "until": timestamp(end),
            "windowSeconds": 3600,
            "signals": {"featureDrift": {"psi": "0.1"}, "predictionDrift": {"psi": "0.1"}},
            "versions": [{"name": name, "digest": DIGEST} for name in self.versions],
            **params,
        }
        (self.root / "params.json").write_text(json.dumps(document))
        shutil.rmtree(self.root / "outputs", ignore_errors=True)
        assert monitor.main() == expected
        self.windows += hours
        if expected:
            return {}
        shutil.rmtree(self.root / "inputs" / "state", ignore_errors=True)
        shutil.copytree(self.root / "outputs" / "state", self.root / "inputs" / "state")
        report: dict[str, Any] = json.loads((self.root / "outputs" / "report" / "report.json").read_text())
        return report

    def run_hour(
        self, change: Callable[[Rows], Rows] = lambda rows: rows, rows: int = 1_200, **params: Any
    ) -> dict[str, Any]:
        """An hour of traffic of the first pod, and the run over it."""
        self.serve_hour(rows=rows, change=change)
        return self.run(**params)

    @property
    def facts(self) -> dict[str, Any]:
        """What the operator gets of the last run."""
        found: dict[str, Any] = json.loads((self.root / "outputs" / "facts.json").read_text())
        return found

    @property
    def page(self) -> str:
        """The report for people."""
        return (self.root / "outputs" / "report" / "report.html").read_text()


@pytest.fixture
def drawn_charts() -> None:
    """The charts of reports are drawn, as in a pod."""


@pytest.fixture(autouse=True)
def empty_charts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports have empty charts, since drawing is four fifths of a run and has tests of its own (tests/runtime/monitoring/test_report.py)."""
    if "drawn_charts" not in request.fixturenames:
        monkeypatch.setattr(charts, "_render", lambda *_: "<svg></svg>")


@pytest.fixture
def monitored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Monitored:
    """A service whose version has the baseline of 10,000 rows."""
    monkeypatch.setenv("FLYWHEEL_ROOT", str(tmp_path))
    monkeypatch.setenv("FLYWHEEL_TERMINATION_LOG", str(tmp_path / "termination-log"))
    return Monitored(tmp_path)


@pytest.fixture
def labelled(monitored: Monitored) -> Labelled:
    """The service with labels that arrive an hour later."""
    return Labelled(monitored)

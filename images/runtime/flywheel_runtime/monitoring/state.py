"""What one run leaves for the next: how far it came, the tests' processes, open findings, the trend, and roll-ups that may still change."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flywheel_runtime.contract.step import write_finite_json, write_json
from flywheel_runtime.monitoring.coverage import Progress
from flywheel_runtime.monitoring.documents import Series
from flywheel_runtime.monitoring.findings import Finding, ObservedSubject
from flywheel_runtime.monitoring.layout import Layout
from flywheel_runtime.monitoring.logged_rows import RowBins
from flywheel_runtime.monitoring.reference import Reference
from flywheel_runtime.monitoring.rollup import Rollup, SourceKey
from flywheel_runtime.monitoring.seasonal.hour_of_week import HoursOfWeek
from flywheel_runtime.monitoring.statistics.streams.decision import Finding as Outcome
from flywheel_runtime.monitoring.statistics.streams.decision import is_finite

VERSION = 1
TREND_SECONDS = 35 * 86_400
MAX_TREND_POINTS = 1_000
MAX_CLOSED_FINDINGS = 100


@dataclass(frozen=True)
class Alarm:
    """An alarm of a test, at the end of the window that raised it."""

    time: int
    signal: str
    subject: str
    version: str


@dataclass
class MonitorState:
    """`streams` and `findings` are by the name of the test's process, `trend` one point for each version and window, oldest first."""

    monitored_since: int
    until: int
    references: dict[Series, Reference] = field(default_factory=dict)
    first_windows: dict[Series, int | None] = field(default_factory=dict)  # its start; None: it was before the monitor
    row_bins: dict[Series, RowBins] = field(default_factory=dict)  # of versions without a baseline
    streams: dict[str, dict[str, Any]] = field(default_factory=dict)
    findings: dict[str, Finding] = field(default_factory=dict)
    closed: list[Finding] = field(default_factory=list)
    alarms: list[Alarm] = field(default_factory=list)
    progress: dict[SourceKey, Progress] = field(default_factory=dict)
    trend: list[dict[str, Any]] = field(default_factory=list)
    rollups: list[Rollup] = field(default_factory=list)
    hours_of_week: HoursOfWeek = field(default_factory=HoursOfWeek)
    labelled_until: int = 0  # no window before is tested with labels (again); 0: labels were not awaited yet
    untested_windows: int = 0  # whose logged rows or labels could not be read in time

    def note_outcome(self, name: str, observed: ObservedSubject, outcome: Outcome, effect: float | None) -> None:
        """Opens, updates and closes the finding of the test of this name, by the outcome of a look. Without an effect it stays as it is."""
        if outcome.is_new:
            self.alarms.append(Alarm(observed.until, observed.signal, observed.subject, observed.version))
        if outcome.status == "Active" and effect is not None and outcome.since is not None:
            evidence = round(outcome.log10_evidence or 0.0, 2)
            self.findings[name] = Finding(effect=effect, since=outcome.since, evidence=evidence, **vars(observed))
        elif outcome.is_cleared:
            self.close_finding(name)

    def end_test(self, name: str) -> None:
        """Forgets the evidence of a test, and closes its finding."""
        self.streams.pop(name, None)
        self.close_finding(name)

    def close_finding(self, name: str) -> None:
        """Moves the finding of the test to those that are closed, if it has one."""
        if name in self.findings:
            self.closed.append(self.findings.pop(name))

    def write(self, folder: Path) -> None:
        """Writes state.json and rollups.json."""
        self.trend = [each for each in self.trend if each["start"] >= self.until - TREND_SECONDS][-MAX_TREND_POINTS:]
        document = {
            "v": VERSION,
            "monitoredSince": self.monitored_since,
            "until": self.until,
            "references": [self.references[key].to_json() for key in sorted(self.references)],
            "firstWindows": [
                [each.version, each.digest, each.baseline, self.first_windows[each]]
                for each in sorted(self.first_windows)
            ],
            "rowBins": [
                [each.version, each.digest, each.baseline, self.row_bins[each].to_json()]
                for each in sorted(self.row_bins)
            ],
            "streams": self.streams,
            "findings": {name: self.findings[name].to_json() for name in sorted(self.findings)},
            "closed": [each.to_json() for each in self.closed[-MAX_CLOSED_FINDINGS:]],
            "alarms": [[each.time, each.signal, each.subject, each.version] for each in self.alarms],
            "progress": [[*key, self.progress[key].served, self.progress[key].start] for key in sorted(self.progress)],
            "trend": self.trend,
            "labelledUntil": self.labelled_until,
            "untestedWindows": self.untested_windows,
        }
        write_finite_json(folder / "state.json", document)
        self.hours_of_week.write(folder)
        layouts = {each.series: each.layout for each in self.rollups}
        write_json(
            folder / "rollups.json",
            {
                "v": VERSION,
                "layouts": [
                    [[key.version, key.digest, key.baseline], layouts[key].to_json()] for key in sorted(layouts)
                ],
                "rollups": [each.to_json() for each in self.rollups],
            },
        )


def read_state(folder: Path) -> MonitorState | None:
    """The state of the previous run; None if there is none. Raises ValueError if it cannot be used."""
    if not (folder / "state.json").is_file():
        return None
    try:
        state = _parse(json.loads((folder / "state.json").read_bytes()))
        if (folder / "rollups.json").is_file():
            state.rollups = _parse_rollups(json.loads((folder / "rollups.json").read_bytes()))
        state.hours_of_week = HoursOfWeek.read(folder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    return state


def _parse(document: Mapping[str, Any]) -> MonitorState:
    """The state in a document. Findings and points of the trend with a number that is not finite, of earlier releases, are left out."""
    if document["v"] != VERSION:
        raise ValueError(f"version {document['v']!r} of the format is unknown")
    for name, kind in (("monitoredSince", int), ("until", int), ("streams", dict), ("trend", list)):
        if not isinstance(document[name], kind):
            raise TypeError(f"{name} is no {kind.__name__}")
    if not all(isinstance(each, dict) for each in (*document["streams"].values(), *document["trend"])):
        raise TypeError("a stream or a point of the trend is no object")
    references = [Reference.from_json(each) for each in document["references"]]
    return MonitorState(
        document["monitoredSince"],
        document["until"],
        {each.series: each for each in references},
        {Series(*series): start for *series, start in document["firstWindows"]},
        {Series(*series): RowBins.from_json(bins) for *series, bins in document.get("rowBins", ())},
        document["streams"],
        {name: Finding.from_json(each) for name, each in document["findings"].items() if _is_whole(each)},
        [Finding.from_json(each) for each in document["closed"] if _is_whole(each)],
        [Alarm(*each) for each in document["alarms"]],
        {(pod, boot): Progress(served, start) for pod, boot, served, start in document["progress"]},
        [each for each in document["trend"] if is_finite(each) and None not in each["psi"].values()],
        labelled_until=document.get("labelledUntil", 0),
        untested_windows=document.get("untestedWindows", 0),
    )


def _is_whole(finding: Mapping[str, Any]) -> bool:
    """Whether the numbers of a finding are there, and finite."""
    return is_finite(finding) and None not in (finding["effect"], finding["threshold"], finding["evidence"])


def _parse_rollups(document: Mapping[str, Any]) -> list[Rollup]:
    layouts = {Series(*series): Layout.from_json(layout) for series, layout in document["layouts"]}
    return [Rollup.from_json(each, layouts[Series(*each["series"])]) for each in document["rollups"]]

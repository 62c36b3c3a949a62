"""The windows of a run, one after the other: what is tested, what the tests find, and what goes on to the next run."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from flywheel_runtime.monitoring.answers import find_problem
from flywheel_runtime.monitoring.coverage import Coverage, measure_coverage
from flywheel_runtime.monitoring.documents import Series
from flywheel_runtime.monitoring.estimates.looks import SIGNAL as ESTIMATED
from flywheel_runtime.monitoring.estimates.looks import EstimatedPerformance
from flywheel_runtime.monitoring.findings import ObservedSubject
from flywheel_runtime.monitoring.layout import Layout
from flywheel_runtime.monitoring.methods.look_observer import AlarmBudget, LookObserver, Method
from flywheel_runtime.monitoring.reference import Reference, window_reference
from flywheel_runtime.monitoring.signals import (
    DRIFT_MEASURE,
    ESTIMATED_DROP,
    Look,
    Thresholds,
    find_looks,
    seasonal_threshold,
)
from flywheel_runtime.monitoring.state import MonitorState
from flywheel_runtime.monitoring.statistics.streams import decision
from flywheel_runtime.monitoring.windows import SortedDocuments, Window

COUNTED_SIGNALS = frozenset(
    {"dataQuality", "featureDrift", "predictionDrift", "estimatedPerformance"}
)  # those of this module
MAX_TREND_COLUMNS = 10  # of a point: state and report are written anew in every run, with all points of five weeks
MIN_REFERENCE_COMPLETENESS = 0.9  # of a window that becomes the reference

ReferenceReader = Callable[[Series, Layout], Reference | None]
Outcome = decision.Finding


@dataclass(frozen=True)
class WindowResult:
    """One window of one series. `reference` is None if there is nothing to compare with; `note` says what a reader should know."""

    window: Window
    coverage: Coverage
    share: float
    reference: Reference | None
    looks: Sequence[Look] = ()
    outcomes: Mapping[str, Outcome] = field(default_factory=dict)  # by the name of the look's stream
    note: str = ""
    estimate: Mapping[str, float] = field(default_factory=dict)  # value and reference of the estimated metric
    drift_reference: Reference | None = None  # that of the hour of the week, where there is one for each


@dataclass
class Analysis:
    """The results of all windows in the order of time; the state has what goes on. `versions` are those that are served."""

    state: MonitorState
    versions: frozenset[str]
    thresholds: Thresholds
    budget: AlarmBudget
    read_reference: ReferenceReader
    estimates: EstimatedPerformance | None = None
    method: Method = "Sequential"
    is_seasonal: bool = False
    results: list[WindowResult] = field(default_factory=list)
    restarted: list[str] = field(default_factory=list)  # streams whose state did not fit
    _observer: LookObserver | None = None
    _last_results: dict[Series, int] = field(default_factory=dict)  # places in `results`

    def run(self, documents: SortedDocuments) -> None:
        """Decides each new window, and takes over the roll-ups that are retained."""
        coverages = self._measure_coverages(documents)
        by_start: dict[int, list[Window]] = {}
        for window in documents.windows:
            if not window.rollup.rows:
                continue  # its servers had errors alone, or responded to requests that others count
            by_start.setdefault(window.rollup.start, []).append(window)
        for windows in by_start.values():
            self._decide(windows, coverages)
        self.state.rollups = documents.rollups
        seen = frozenset(each.window.rollup.series.version for each in self.results)
        self.state.hours_of_week.retain((self.versions | seen) if self.is_seasonal else frozenset())
        self._retire_streams()

    def _measure_coverages(self, documents: SortedDocuments) -> dict[tuple[int, Series], Coverage]:
        """The coverage of each retained window; the state keeps the progress up to the oldest of them."""
        retained = {(each.start, each.series) for each in documents.rollups}
        dropped = [each for each in self.state.rollups if (each.start, each.series) not in retained]
        _, self.state.progress = measure_coverage(dropped, self.state.progress)
        measured, _ = measure_coverage(documents.rollups, self.state.progress)
        coverages = {
            (rollup.start, rollup.series): coverage
            for rollup, coverage in zip(documents.rollups, measured, strict=True)
        }
        self._correct_trend(documents, coverages)
        return coverages

    def _correct_trend(self, documents: SortedDocuments, coverages: Mapping[tuple[int, Series], Coverage]) -> None:
        """Late documents change what the trend says of the rows of earlier windows."""
        points = {(each["start"], each["version"], each["digest"]): each for each in self.state.trend}
        for rollup in (each for each in documents.rollups if each.rows):
            point = points.get((rollup.start, rollup.series.version, rollup.series.digest))
            if point is not None:
                completeness = coverages[rollup.start, rollup.series].completeness
                point |= {"rows": rollup.rows, "requests": rollup.requests, "completeness": completeness}

    def _decide(self, windows: Sequence[Window], coverages: Mapping[tuple[int, Series], Coverage]) -> None:
        """Decides the windows of all versions at one time, which share what one window may cost of the budget."""
        for window in windows:
            is_first = all(each.served_before == 0 for each in window.rollup.sources.values())
            is_first = is_first and not window.rollup.series.counts_rows
            self.state.first_windows.setdefault(window.rollup.series, window.rollup.start if is_first else None)
        references = [self._find_reference(window, coverages) for window in windows]
        drifts = [
            self._find_drift_reference(window, reference, coverages)
            for window, (reference, _) in zip(windows, references, strict=True)
        ]
        looks = [
            self._find_looks(window, reference, drift)
            for window, (reference, _), (drift, _) in zip(windows, references, drifts, strict=True)
        ]
        observer = self._find_observer()
        everything = [look for listed in looks for look in listed]
        outcomes = observer.observe(everything, windows[0].rollup.start, windows[0].rollup.seconds)
        total = sum(each.rollup.rows for each in windows)
        for window, (reference, note), (drift, waits), listed in zip(windows, references, drifts, looks, strict=True):
            share = window.rollup.rows / total if total else 0.0
            found = {look.stream: outcomes[look.stream] for look in listed}
            for look in listed:
                self._note_outcome(look, found[look.stream], window, share, reference)
            coverage = coverages[window.rollup.start, window.rollup.series]
            estimate = next((each.details for each in listed if each.measure == ESTIMATED_DROP), {})
            self._add_result(
                WindowResult(window, coverage, share, reference, listed, found, note or waits, estimate, drift)
            )

    def _find_observer(self) -> LookObserver:
        """What observes the looks of this run."""
        if self._observer is None:
            self._observer = LookObserver(self.state.streams, self.budget, self.thresholds.min_rows, self.method)
        return self._observer

    def _find_looks(self, window: Window, reference: Reference | None, drift: Reference | None) -> list[Look]:
        """All tests of a window."""
        looks = find_looks(window, reference, self.thresholds, drift) if reference is not None else []
        estimated = self.estimates.find_look(window, reference) if self.estimates is not None else None
        return looks if estimated is None else [*looks, estimated]

    def _find_drift_reference(
        self, window: Window, reference: Reference | None, coverages: Mapping[tuple[int, Series], Coverage]
    ) -> tuple[Reference | None, str]:
        """What drift is measured from, else why there is nothing: the reference, or the one of the hour of the week."""
        tests_drift = self.thresholds.feature_drift is not None or self.thresholds.prediction_drift is not None
        if reference is None or not self.is_seasonal or not tests_drift:
            return reference, ""
        is_whole = self._is_whole(window, coverages)
        return self.state.hours_of_week.take_window(window.rollup, reference, is_whole=is_whole)

    def _is_whole(self, window: Window, coverages: Mapping[tuple[int, Series], Coverage]) -> bool:
        """Whether the window has enough rows to be a reference, and few of them were lost."""
        completeness = coverages[window.rollup.start, window.rollup.series].completeness
        is_counted = completeness is None or completeness >= MIN_REFERENCE_COMPLETENESS
        return is_counted and window.rollup.rows >= self.thresholds.min_rows

    def _add_result(self, result: WindowResult) -> None:
        """Retains the numbers of each window, and what was tested only of the last one of a series: a run may have many windows."""
        rollup = result.window.rollup
        window = replace(result.window, parts=rollup.counts[None])
        looks = [each.sum_blocks() for each in result.looks]
        before = self._last_results.get(rollup.series)
        if before is not None and result.reference is not None:
            self.results[before] = replace(self.results[before], looks=(), outcomes={})
        self._last_results[rollup.series] = len(self.results)
        self.results.append(replace(result, window=window, looks=looks))
        self.state.trend.append(_trend_point(self.results[-1]))

    def _find_reference(
        self, window: Window, coverages: Mapping[tuple[int, Series], Coverage]
    ) -> tuple[Reference | None, str]:
        """The reference of the window's series, else why there is none. A window with enough rows becomes it."""
        rollup = window.rollup
        reference = self.read_reference(rollup.series, rollup.layout)
        if reference is not None:
            return reference, ""
        if rollup.series in self.state.references:
            facts = self.state.row_bins[rollup.series].facts if rollup.series in self.state.row_bins else {}
            return replace(self.state.references[rollup.series], facts=facts), ""
        if not self._is_whole(window, coverages):
            return None, "this version has no baseline, and waits for a window with enough rows"
        self.state.references[rollup.series] = window_reference(rollup)
        return None, "this version has no baseline of its training, so this window is its reference from now on"

    def _note_outcome(
        self, look: Look, outcome: Outcome, window: Window, share: float, reference: Reference | None
    ) -> None:
        """Opens, updates and closes the finding of the look's stream."""
        name = look.stream
        earlier = self.state.findings.get(name)
        observed = ObservedSubject(
            look.signal,
            look.subject,
            look.version,
            look.measure,
            look.threshold,
            window.rollup.end,
            share,
            is_skew=self._is_skew(reference, outcome.since),
            problem=find_problem(look, window, reference, self.thresholds.min_rows, earlier),
        )
        self.state.note_outcome(name, observed, outcome, outcome.effect)
        if outcome.is_restarted:
            self.restarted.append(name)

    def _is_skew(self, reference: Reference | None, since: int | None) -> bool:
        """Whether a version has differed from its training since its first window, which the monitor has seen."""
        if reference is None or since is None:
            return False
        first = self.state.first_windows.get(reference.series)
        return reference.window is None and first is not None and since <= first

    def _retire_streams(self) -> None:
        """Ends the tests, and closes the findings, of versions that are not served any more, and of what is not tested any more."""
        compared = [each for each in self.results if each.reference is not None]
        last = {each.window.rollup.series.version: each.window.rollup.start for each in compared}
        newest = [each for each in compared if each.window.rollup.start == last[each.window.rollup.series.version]]
        tested = {look.stream for each in newest for look in each.looks}
        last_series = {each.window.rollup.series.identifier for each in newest}
        for name in list(self.state.streams):
            series, signal, *_ = name.split("/")
            version = series.partition("@")[0]
            if signal not in COUNTED_SIGNALS:
                continue  # labels come late, also for versions that are served no more
            if version in last and (self._waits_for_its_hour(name) or self._waits_for_rows(name, last_series)):
                continue
            if name not in tested and (version in last or version not in self.versions):
                self.state.end_test(name)

    def _waits_for_its_hour(self, name: str) -> bool:
        """Whether a test is one that goes on once the reference of the hour of the week is learnt."""
        _, signal, _, threshold, *_ = name.split("/")
        asked = {"featureDrift": self.thresholds.feature_drift, "predictionDrift": self.thresholds.prediction_drift}
        given = asked.get(signal)
        return self.is_seasonal and given is not None and threshold == seasonal_threshold(given)

    def _waits_for_rows(self, name: str, series: Collection[str]) -> bool:
        """Whether a test of the estimated metric goes on: quiet hours have no logged row, which says nothing of what was found before."""
        if self.estimates is None:
            return False
        target = self.estimates.target
        tested = {f"{each}/{ESTIMATED}/{ESTIMATED_DROP}/{target.max_drop:g}/{target.metric}" for each in series}
        return name in tested


def _trend_point(result: WindowResult) -> dict[str, object]:
    rollup = result.window.rollup
    drifts = [each for each in result.looks if each.measure == DRIFT_MEASURE]
    measured = {each.subject: result.outcomes[each.stream].effect for each in drifts}
    effects = {name: effect for name, effect in measured.items() if effect is not None}
    largest = sorted(effects, key=lambda name: (-effects[name], name))[:MAX_TREND_COLUMNS]
    return {
        "start": rollup.start,
        "seconds": rollup.seconds,
        "version": rollup.series.version,
        "digest": rollup.series.digest,
        "rows": rollup.rows,
        "requests": rollup.requests,
        "completeness": result.coverage.completeness,
        "psi": {name: round(effects[name], 5) for name in sorted(largest)},
    }

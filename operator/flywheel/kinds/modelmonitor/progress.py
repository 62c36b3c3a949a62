"""Where a ModelMonitor stands, from what status remembers and what its Jobs say: pure, and the same however often it is computed.

Status is written after a Job is made, so it may be one step behind: a Job with a higher number than status knows is taken in from its
annotation. A Job is deleted only after status knows how it ended, so it cannot be one step ahead.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from flywheel.core.diagnosis.failed_attempt import after_failure
from flywheel.core.diagnosis.outcome import Outcome
from flywheel.core.resource.restrictions import Violation, find_violation
from flywheel.kinds.modelmonitor.children import REQUEST_ANNOTATION, ModelMonitor
from flywheel.kinds.modelmonitor.findings import SignalResult, signal_results, with_result
from flywheel.kinds.modelmonitor.observe import MonitorJob, Seen
from flywheel.kinds.modelmonitor.schema.status import ModelMonitorStatus, Run

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Servers write the counts of a minute when it ends; those of a window are in the store this much after its end.
SETTLING_TIME = timedelta(seconds=90)
MAX_AGE = timedelta(days=7)  # of a window that a run still tests
RUN_PERIOD = timedelta(days=1)  # of one run, which holds the counts of all its windows in memory
MAX_WINDOWS = 200  # of one run
FIRST_PERIOD = timedelta(days=1)  # before the first run, that it looks at
# A run with fewer windows needs less of what it ran out of.
EXHAUSTED_REASONS = frozenset(("OOMKilled", "TimedOut", "StorageExceeded"))


@dataclass(frozen=True)
class Period:
    """The windows of a run. `skipped`: windows before them that are too long ago; `backlog`: those after them, for the runs that follow."""

    start: datetime
    until: datetime
    skipped: int = 0
    backlog: int = 0


@dataclass(frozen=True)
class Progress:
    """Where the ModelMonitor stands.

    `status` has what the last run that succeeded found; its `run` starts now, runs, or ran last. `job` is the Job of that run, None if it
    is not made yet or is gone. `signals`: what the run found, where it has just succeeded. `refusal`: a run is due and may not start.
    `answered_tick`: ticks up to that time need no run any more. `due_at`: when the run that is requested can start.
    """

    status: ModelMonitorStatus
    job: MonitorJob | None
    just_ended: bool = False  # status does not say yet how the run ended
    signals: tuple[SignalResult, ...] | None = None
    refusal: Violation | None = None
    answered_tick: datetime | None = None
    due_at: datetime | None = None

    @property
    def run(self) -> Run | None:
        """The run that starts now, runs, or ran last."""
        return self.status.run


def advance(monitor: ModelMonitor, seen: Seen) -> Progress:
    """Take in how Jobs ended, and start the next run if one is due."""
    status = monitor.status
    run = _with_newest_job(status.run, seen)
    job = next((each for each in seen.jobs if run is not None and each.run.number == run.number), None)
    just_ended, signals = False, None
    if run is not None and run.result == "Running":
        vanished = f"Job {run.number} of the monitor was deleted before it ended."
        outcome = job.outcome if job is not None else Outcome("Infrastructure", "JobVanished", vanished)
        if outcome is not None:
            just_ended = True
            if outcome.result == "Succeeded":
                truth, versions = monitor.spec.ground_truth, seen.service.versions if seen.service else {}
                delay = truth.delay.max.timedelta if truth is not None else timedelta(0)
                status = with_result(status, run, outcome, versions, delay)
                signals = tuple(signal_results(outcome.facts))
            run = run_after(run, outcome, seen.now)
    # A run goes on from the state of the one before, so the status has to have that first.
    due = None if just_ended else next_run(monitor, status, run, seen)
    refusal = find_violation(monitor.spec, seen.settings) if due is not None else None
    if due is not None and refusal is None:
        run, job = due, None
    return Progress(
        status.model_copy(update={"run": run}),
        job,
        just_ended,
        signals,
        refusal,
        _answered_tick(monitor, status, run, seen),
        _due_at(monitor, status, run, seen),
    )


def _with_newest_job(known: Run | None, seen: Seen) -> Run | None:
    newest = seen.jobs[-1].run if seen.jobs else None
    return newest if newest is not None and (known is None or newest.number > known.number) else known


def run_after(run: Run, outcome: Outcome, now: datetime) -> Run:
    """The run after its Job has ended."""
    changes: dict[str, Any] = {"finished_at": now, "not_before": None}
    if outcome.result == "Succeeded":
        changes |= {"result": "Succeeded", "retries": 0, "internal_errors": None, "reason": None, "message": None}
        return run.model_copy(update=changes)
    changes |= after_failure(outcome, run.retries, run.internal_errors, now)
    return run.model_copy(update=changes)


def next_run(monitor: ModelMonitor, status: ModelMonitorStatus, last: Run | None, seen: Seen) -> Run | None:
    """The run that should start now, or None. A running one ends before another starts."""
    if monitor.spec.suspend or (last is not None and last.result == "Running") or not is_served(seen):
        return None
    newest_tick = seen.ticks[-1].created if seen.ticks else None
    request, requested = monitor.read_request(REQUEST_ANNOTATION), is_requested(monitor, last)
    ticked = newest_tick is not None and (last is None or last.tick is None or newest_tick > last.tick)
    retried = last is not None and last.result == "Retrying" and (last.not_before or seen.now) <= seen.now
    is_behind = last is not None and last.result == "Succeeded" and bool(last.backlog)
    if not (ticked or requested or retried or is_behind):
        return None
    period = due_period(monitor, status, last, seen.now, batch_times(seen))
    if period is None:
        return None
    run = Run.model_validate(
        {
            "number": (last.number if last else 0) + 1,
            "from": period.start,
            "until": period.until,
            "skipped": period.skipped or None,
            "backlog": period.backlog or None,
            "max_windows": reduced_windows(monitor, last),
            "tick": newest_tick or (last.tick if last else None),
            "request": request,
            "result": "Running",
            "retries": 0,
        }
    )
    return _as_retry_of(last, run)


def batch_times(seen: Seen) -> list[datetime]:
    """When the runs of a BatchInference finished, oldest first."""
    return [each.finished_at for each in seen.service.batch_runs] if seen.service is not None else []


def due_period(
    monitor: ModelMonitor,
    status: ModelMonitorStatus,
    last: Run | None,
    now: datetime,
    finished: Sequence[datetime] = (),
) -> Period | None:
    """The oldest windows that have ended and are not tested, as many as one run takes; None where none has ended.

    Of a BatchInference those count in which a run of it `finished`: a monitor's run begins with the first of them.
    """
    window = monitor.spec.window.timedelta
    end, limit = _floor(now - SETTLING_TIME, window), max(1, min(RUN_PERIOD // window, MAX_WINDOWS))
    if monitor.spec.batch_inference:
        return _batch_period(monitor, status, last, finished, end)
    if status.processed_until is None:
        known = end - window * max(1, min(FIRST_PERIOD // window, MAX_WINDOWS))
    else:
        known = _ceil(status.processed_until, window)
    if known >= end:
        return None
    start = max(known, end - window * (MAX_AGE // window))
    until = min(end, start + window * min(limit, reduced_windows(monitor, last) or limit))
    return Period(start, until, (start - known) // window, (end - until) // window)


def _batch_period(
    monitor: ModelMonitor,
    status: ModelMonitorStatus,
    last: Run | None,
    finished: Sequence[datetime],
    end: datetime,
) -> Period | None:
    window, known = monitor.spec.window.timedelta, status.processed_until
    oldest = max(end - window * max(1, MAX_AGE // window), _ceil(known, window) if known else EPOCH)
    starts = sorted({_floor(each, window) for each in finished if oldest <= each < end})
    if not starts:
        return None
    limit = reduced_windows(monitor, last) or max(1, min(RUN_PERIOD // window, MAX_WINDOWS))
    until = min(end, starts[0] + window * limit)
    later = sum(start >= until for start in starts)
    return Period(starts[0], until, backlog=later)


def reduced_windows(monitor: ModelMonitor, last: Run | None) -> int | None:
    """How many windows a run takes at most, since one with more ran out of memory, storage or time. None: as many as any, also once it has caught up."""
    if last is None:
        return None
    if last.result == "Failed" and last.reason in EXHAUSTED_REASONS:
        return max(1, (last.until - last.from_) // monitor.spec.window.timedelta // 2)
    return last.max_windows if last.backlog or last.result != "Succeeded" else None


def _floor(time: datetime, window: timedelta) -> datetime:
    return EPOCH + (time - EPOCH) // window * window


def _ceil(time: datetime, window: timedelta) -> datetime:
    """Where the length of windows has changed, no window is tested that has begun before."""
    return EPOCH - (EPOCH - time) // window * window


def _as_retry_of(last: Run | None, run: Run) -> Run:
    """The run with the finding and the number of retries of the last one, if it retries that."""
    if last is None or last.result != "Retrying":
        return run
    retried = {"reason": last.reason, "message": last.message, "retries": last.retries}
    return run.model_copy(update=retried | {"internal_errors": last.internal_errors})


def _answered_tick(monitor: ModelMonitor, status: ModelMonitorStatus, run: Run | None, seen: Seen) -> datetime | None:
    """A tick is answered by the run that it started, once that has ended with all its windows, and at once where nothing can start or no window has ended."""
    if not seen.ticks:
        return None
    is_running = run is not None and run.result == "Running"
    if not is_running and (
        monitor.spec.suspend
        or not is_served(seen)
        or due_period(monitor, status, run, seen.now, batch_times(seen)) is None
    ):
        return seen.ticks[-1].created
    has_ended = run is not None and (run.result == "Failed" or (run.result == "Succeeded" and not run.backlog))
    return run.tick if run is not None and has_ended else None


def is_served(seen: Seen) -> bool:
    """Whether there is a service whose traffic is counted, here or by its servers."""
    service = seen.service
    return service is not None and (bool(service.stored_rows) or (service.logs and service.runs_own_server))


def is_requested(monitor: ModelMonitor, last: Run | None) -> bool:
    """Whether a run is requested that has not started."""
    request = monitor.read_request(REQUEST_ANNOTATION)
    return request is not None and (last is None or request != last.request)


def _due_at(monitor: ModelMonitor, status: ModelMonitorStatus, run: Run | None, seen: Seen) -> datetime | None:
    """When the window has ended for which a requested run waits."""
    if monitor.spec.suspend or not is_served(seen) or not is_requested(monitor, run) or status.processed_until is None:
        return None
    window = monitor.spec.window.timedelta
    return _ceil(status.processed_until, window) + window + SETTLING_TIME

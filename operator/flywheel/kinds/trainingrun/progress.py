"""Where a run stands: what its steps say, which of them start now, and whether it is over."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from flywheel.core.diagnosis.outcome import Outcome
from flywheel.core.resource.plan import Child
from flywheel.kinds.trainingpipeline.schema.template import Template
from flywheel.kinds.trainingrun.observe import Entry, Seen
from flywheel.kinds.trainingrun.parameters import Refused, Values
from flywheel.kinds.trainingrun.schema import TrainingRun
from flywheel.kinds.trainingrun.schema.status import InputUsed, StepStatus
from flywheel.kinds.trainingrun.steps import WORKERS, step_inputs
from flywheel.kinds.trainingrun.steps.dependencies import needs
from flywheel.kinds.trainingrun.steps.executor import Order, key
from flywheel.kinds.trainingrun.steps.step_states import LOST, OVER, Row, Table, healed, judged, table
from flywheel.kinds.trainingrun.steps.when import Ended, Undefined, first_unmet

SKIPPED_IN_TESTS = frozenset(("register", "notify"))


@dataclass
class Progress:
    """`starts` are objects to make now, `ended` names of those that ended at this look and are deleted at the next."""

    rows: Table
    last: Table
    starts: list[Child] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    requeue_after: list[timedelta] = field(default_factory=list)

    @property
    def steps(self) -> tuple[StepStatus, ...]:
        return tuple(row.status for row in (*self.rows.values(), *self.last.values()))

    @property
    def running(self) -> list[Row]:
        return [row for row in (*self.rows.values(), *self.last.values()) if row.status.state == "Running"]

    @property
    def main_is_over(self) -> bool:
        return all(row.is_over for row in self.rows.values())

    @property
    def is_over(self) -> bool:
        return self.main_is_over and all(row.is_over for row in self.last.values())

    @property
    def failed(self) -> Row | None:
        return next((row for row in self.rows.values() if row.status.state == "Failed"), None)


@dataclass(frozen=True)
class Run:
    """A run as the pass over its table needs it."""

    resource: TrainingRun
    seen: Seen
    template: Template
    values: Values
    inputs: Mapping[str, InputUsed]
    stopped: str | None  # why nothing starts any more but finally: cancelled, or out of time

    @property
    def now(self) -> datetime:
        return self.seen.now.replace(microsecond=0)

    @property
    def sample(self) -> str | None:
        """The share of rows of a test run."""
        assert self.seen.frozen is not None, "asked before"
        percent = str(self.seen.frozen.test.get("sample", "1%"))
        return f"{float(percent.rstrip('%')) / 100:g}" if self.resource.spec.test else None


def advance(run: Run) -> Progress:
    """Take in what steps say, then write the table from above to below."""
    status = run.resource.status
    steps, last = run.template.steps, run.template.last
    every = (*steps, *last)
    progress = Progress(table(steps, status.steps, every), table(last, status.steps, every))
    for rows in (progress.rows, progress.last):
        _take_in(run, rows, progress)
    if run.stopped is not None:
        _stop(run, progress)
    _pass(run, progress, progress.rows, None)
    if progress.main_is_over:
        good = progress.failed is None and run.stopped is None
        _pass(run, progress, progress.last, "Succeeded" if good else "Failed")
    return progress


def _take_in(run: Run, rows: Table, progress: Progress) -> None:
    for name, row in list(rows.items()):
        work = run.seen.work.get(name)
        if row.status.state != "Running" or work is None:
            continue
        gone = Outcome("Infrastructure", "Vanished", f"'{row.status.job}' was deleted before it ended.")
        ended = work.outcome if work.exists else gone
        if ended is None:
            continue
        if row.status.job is not None and work.exists:
            progress.ended.append(row.status.job)
        rows.update(healed(rows, name, run.now) if ended.reason == LOST else {name: judged(row, ended, run.seen.now)})


def _stop(run: Run, progress: Progress) -> None:
    for name, row in progress.rows.items():
        if not row.is_over:
            told = {"state": "Cancelled", "reason": "Cancelled", "message": run.stopped, "finished": run.now}
            progress.rows[name] = row.having(**told)


def _pass(run: Run, progress: Progress, rows: Table, ended: Ended | None) -> None:
    """What is above is settled before what is below is looked at, so a chain of hits is settled in one pass."""
    for name, row in rows.items():
        if row.status.state != "Waiting":
            continue
        settled = _skipped(run, row, progress.rows) or _unmet(run, row, progress.rows, ended)
        if settled is not None:
            rows[name] = settled
        elif all(_is_good(run, progress.rows, each) for each in needs(row.step)):
            rows[name] = _begun(run, progress, row)


def _is_good(run: Run, rows: Table, name: str) -> bool:
    return name in run.inputs or (name in rows and rows[name].status.state == "Succeeded")


def _skipped(run: Run, row: Row, rows: Table) -> Row | None:
    if run.resource.spec.test and (row.step.kind in SKIPPED_IN_TESTS or row.step.cache == "Never"):
        why = "A test run has no side effects."
        return row.having(state="Skipped", reason="TestRun", message=why, finished=run.now)
    for name in sorted(needs(row.step)):
        above = rows.get(name)
        if above is not None and above.status.state in OVER - {"Succeeded"}:
            word = {"Failed": "failed", "Skipped": "was skipped", "Cancelled": "was cancelled"}[above.status.state]
            why = f"Step '{name}', which it needs, {word}."
            return row.having(state="Skipped", reason="Needs", message=why, finished=run.now)
    return None


def _unmet(run: Run, row: Row, rows: Table, ended: Ended | None) -> Row | None:
    asked = {str(when.metric.step) for when in row.step.when if when.metric is not None}
    for name in sorted(asked):
        if name in rows and not rows[name].is_over:
            return row  # waits for the number
    if not all(_is_good(run, rows, each) for each in needs(row.step)) and ended is None:
        return None
    try:
        finding = first_unmet(row.step.when, run.values.parameters, rows, ended)
    except Undefined as undefined:
        words = f"`when` cannot be evaluated: {undefined}."
        return row.having(state="Failed", reason="WhenUndefined", message=words[:512], finished=run.now)
    if finding is None:
        return None
    words = f"`when` does not hold: {finding}."
    return row.having(state="Skipped", reason="WhenNotMet", message=words[:512], finished=run.now)


def _begun(run: Run, progress: Progress, row: Row) -> Row:
    """From the cache, or started; or as it was, where it has to wait."""
    if row.status.not_before is not None and row.status.not_before > run.seen.now:
        progress.requeue_after.append(row.status.not_before - run.seen.now)
        return row
    try:
        order = step_inputs.order(
            run.resource, run.template, run.inputs, run.values, run.seen, progress.rows, row, run.sample
        )
    except Refused as refused:
        return row.having(state="Failed", reason="Invalid", message=str(refused)[:512], finished=run.now)
    row = _with_key(run, row, order)
    hit = _hit(run, row)
    if hit is not None:
        return _from_cache(run, row, hit)
    if run.resource.spec.suspend or len(progress.running) >= run.template.parallelism:
        return row
    return _started(run, progress, row, order)


def _with_key(run: Run, row: Row, order: Order) -> Row:
    identity = WORKERS[row.step.kind].identity(run.resource, order)
    if isinstance(identity, str):
        return row.having(cache="Miss", cache_reason=identity[:128])
    found = key(identity)
    if row.step.cache == "Never":
        return row.having(cache="Miss", cache_reason="cache: Never")
    return row.having(key=found)


def _hit(run: Run, row: Row) -> Entry | None:
    wanted, again = row.status.key, row.status.reason == "OutputLost"
    if wanted is None or again or (row.status.attempt or 0) > 0 or run.resource.spec.reproduce_of is not None:
        return None
    oldest = run.seen.now - row.step.max_age.timedelta if row.step.max_age else None
    for entry in run.seen.cached(wanted):
        if oldest is None or (entry.step.finished is not None and entry.step.finished >= oldest):
            return entry
    return None


def _from_cache(run: Run, row: Row, hit: Entry) -> Row:
    kept = ("outputs", "metrics", "facts", "image")
    told = {name: getattr(hit.step, name) for name in kept}
    # The age of work is that of its doing, however often it was taken since.
    when = hit.step.started or hit.step.finished
    from_run = f"done by run '{hit.run}'" if hit.step.cache != "Hit" else str(hit.step.cache_reason)
    return row.having(
        state="Succeeded",
        cache="Hit",
        cache_reason=from_run[:128],
        started=when,
        finished=hit.step.finished,
        reason=None,
        message=None,
        **told,
    )


def _started(run: Run, progress: Progress, row: Row, order: Order) -> Row:
    children = WORKERS[row.step.kind].children(run.resource, order)
    progress.starts.extend(children)
    model = {"model": str(row.step.register_.model)} if row.step.register_ else {}
    miss = {} if row.status.cache == "Miss" else {"cache": "Miss", "cache_reason": _why_not(run, row)}
    return row.having(
        state="Running",
        attempt=order.attempt,
        job=children[-1].name,
        started=run.now,
        not_before=None,
        reason=None,
        message=None,
        facts=model,
        **miss,
    )


def _why_not(run: Run, row: Row) -> str:
    if run.resource.spec.reproduce_of is not None:
        return "reproduceOf does everything again"
    if row.step.max_age and row.status.key and run.seen.cached(row.status.key):
        return f"older than maxAge {row.step.max_age}"
    return "never done before with this content"


def values_of(run: TrainingRun, parameters: Mapping[str, Any], now: datetime) -> Values:
    """The run's date is the one that its schedule meant, else the day on which it was made."""
    cause = run.spec.cause
    when: date = (cause.scheduled if cause and cause.scheduled else run.created or now).date()
    return Values(parameters, when)

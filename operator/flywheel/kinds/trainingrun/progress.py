"""One pass over the steps of a run: which attempts have ended, which steps start now, and whether the run is over."""

from dataclasses import dataclass, field
from datetime import timedelta

from flywheel.core.diagnosis.outcome import Outcome
from flywheel.core.resource import names
from flywheel.core.resource.plan import Child
from flywheel.kinds.trainingrun.observe import CachedStep, Seen
from flywheel.kinds.trainingrun.parameters import InvalidInput
from flywheel.kinds.trainingrun.schema.status import StepStatus
from flywheel.kinds.trainingrun.steps.attempt import Attempt, RunContext
from flywheel.kinds.trainingrun.steps.dependencies import required_names
from flywheel.kinds.trainingrun.steps.execution import attempt_children, attempt_identity
from flywheel.kinds.trainingrun.steps.step_inputs import next_attempt
from flywheel.kinds.trainingrun.steps.step_states import (
    LOST_INPUT,
    TERMINAL_STATES,
    StepState,
    StepStates,
    after_attempt,
    restart_producers,
    step_states,
)
from flywheel.kinds.trainingrun.steps.when import RunResult, UndefinedCondition, first_unmet

NOT_IN_TEST_RUNS = frozenset(("register", "notify"))


@dataclass(frozen=True)
class Pass:
    """A run as the pass over its steps needs it. `stopped`: why only steps of finally still start, as after a cancellation."""

    context: RunContext
    seen: Seen
    stopped: str | None


@dataclass
class Progress:
    """Where the steps stand; `last` are those of finally.

    `starts`: objects to create now; `ended`: names of Jobs that have just ended, which are deleted in the next pass.
    """

    states: StepStates
    last: StepStates
    starts: list[Child] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    requeue_after: list[timedelta] = field(default_factory=list)

    @property
    def every(self) -> tuple[StepState, ...]:
        return (*self.states.values(), *self.last.values())

    @property
    def steps(self) -> tuple[StepStatus, ...]:
        return tuple(state.status for state in self.every)

    @property
    def running(self) -> list[StepState]:
        return [state for state in self.every if state.status.state == "Running"]

    @property
    def main_is_over(self) -> bool:
        return all(state.is_over for state in self.states.values())

    @property
    def is_over(self) -> bool:
        return all(state.is_over for state in self.every)

    @property
    def failed(self) -> StepState | None:
        return next((state for state in self.states.values() if state.status.state == "Failed"), None)


def advance(current: Pass) -> Progress:
    """Record the attempts that have ended, then settle the steps from top to bottom."""
    template, known = current.context.template, current.context.run.status.steps
    every = (*template.steps, *template.last)
    progress = Progress(step_states(template.steps, known, every), step_states(template.last, known, every))
    for states in (progress.states, progress.last):
        _record_outcomes(current, states, progress)
    if current.stopped is not None:
        _cancel_steps(current, progress)
    _settle(current, progress, progress.states, None)
    if progress.main_is_over:
        succeeded = progress.failed is None and current.stopped is None
        _settle(current, progress, progress.last, "Succeeded" if succeeded else "Failed")
    return progress


def _record_outcomes(current: Pass, states: StepStates, progress: Progress) -> None:
    for name, state in list(states.items()):
        seen = current.seen.attempts.get(name)
        if state.status.state != "Running" or seen is None:
            continue
        gone = Outcome("Infrastructure", "Vanished", f"'{state.status.job}' was deleted before it ended.")
        outcome = seen.outcome if seen.exists else gone
        if outcome is None:
            continue
        if state.status.job is not None and seen.exists:
            progress.ended.append(state.status.job)
        if outcome.reason == LOST_INPUT:
            states.update(restart_producers(states, name, current.seen.now))
        else:
            states[name] = after_attempt(state, outcome, current.seen.now)


def _cancel_steps(current: Pass, progress: Progress) -> None:
    for name, state in progress.states.items():
        if not state.is_over:
            progress.states[name] = state.with_end("Cancelled", "Cancelled", str(current.stopped), current.seen.now)


def _settle(current: Pass, progress: Progress, states: StepStates, result: RunResult | None) -> None:
    """Skip, start or take from the cache; a step comes after those above it, so a chain of cache hits takes one pass."""
    for name, state in states.items():
        if state.status.state != "Waiting":
            continue
        settled = _skipped(current, state, progress.states) or _after_when(current, state, progress.states, result)
        if settled is not None:
            states[name] = settled
        elif _requirements_are_met(current, progress.states, state):
            states[name] = _start(current, progress, state)


def _requirements_are_met(current: Pass, states: StepStates, state: StepState) -> bool:
    return all(
        name in current.context.inputs or (name in states and states[name].status.state == "Succeeded")
        for name in required_names(state.step)
    )


def _skipped(current: Pass, state: StepState, states: StepStates) -> StepState | None:
    """The state of a step that cannot run, or that a test run leaves out."""
    if current.context.run.spec.test and (state.step.kind in NOT_IN_TEST_RUNS or state.step.cache == "Never"):
        return state.with_end("Skipped", "TestRun", "A test run has no side effects.", current.seen.now)
    for name in sorted(required_names(state.step)):
        above = states.get(name)
        if above is not None and above.status.state in TERMINAL_STATES - {"Succeeded"}:
            ended = {"Failed": "failed", "Skipped": "was skipped", "Cancelled": "was cancelled"}[above.status.state]
            return state.with_end("Skipped", "Needs", f"Step '{name}', which it needs, {ended}.", current.seen.now)
    return None


def _after_when(current: Pass, state: StepState, states: StepStates, result: RunResult | None) -> StepState | None:
    """The state where `when` waits for a metric, does not hold, or cannot be evaluated; None where it holds."""
    compared = {str(when.metric.step) for when in state.step.when if when.metric is not None}
    if any(name in states and not states[name].is_over for name in compared):
        return state
    if result is None and not _requirements_are_met(current, states, state):
        return None
    try:
        finding = first_unmet(state.step.when, current.context.values.parameters, states, result)
    except UndefinedCondition as error:
        return state.with_end("Failed", "WhenUndefined", f"`when` cannot be evaluated: {error}.", current.seen.now)
    if finding is None:
        return None
    return state.with_end("Skipped", "WhenNotMet", f"`when` does not hold: {finding}.", current.seen.now)


def _start(current: Pass, progress: Progress, state: StepState) -> StepState:
    """The state after the step was taken from the cache or started; unchanged where it has to wait."""
    not_before, run = state.status.not_before, current.context.run
    if not_before is not None and not_before > current.seen.now:
        progress.requeue_after.append(not_before - current.seen.now)
        return state
    try:
        attempt = next_attempt(current.context, progress.states, state)
        state = _with_cache_key(current, state, attempt)
        cached = _cache_hit(current, state)
        if cached is not None:
            return _from_cache(state, cached)
        if run.spec.suspend or len(progress.running) >= current.context.template.parallelism:
            return state
        return _started(current, progress, state, attempt)
    except InvalidInput as error:
        return state.with_end("Failed", "Invalid", str(error), current.seen.now)


def _with_cache_key(current: Pass, state: StepState, attempt: Attempt) -> StepState:
    identity = attempt_identity(attempt)
    if isinstance(identity, str):
        return state.with_status(cache="Miss", cache_reason=identity[:128])
    if state.step.cache == "Never":
        return state.with_status(cache="Miss", cache_reason="cache: Never")
    return state.with_status(key=names.digest({"v": 1, **identity})[:32])


def _cache_hit(current: Pass, state: StepState) -> CachedStep | None:
    key, retried = state.status.key, (state.status.attempt or 0) > 0 or state.status.reason == "OutputLost"
    if key is None or retried or current.context.run.spec.reproduce_of is not None:
        return None
    oldest = current.seen.now - state.step.max_age.timedelta if state.step.max_age else None
    for cached in current.seen.find_cached(key):
        if oldest is None or (cached.step.finished is not None and cached.step.finished >= oldest):
            return cached
    return None


def _from_cache(state: StepState, cached: CachedStep) -> StepState:
    step = cached.step
    reason = f"done by run '{cached.run}'" if step.cache != "Hit" else str(step.cache_reason)
    return state.with_status(
        state="Succeeded",
        cache="Hit",
        cache_reason=reason[:128],
        # The age of a result is that of the work, however often it was taken from the cache since.
        started=step.started or step.finished,
        finished=step.finished,
        reason=None,
        message=None,
        outputs=step.outputs,
        metrics=step.metrics,
        facts=step.facts,
        feature_sets=step.feature_sets,
        image=step.image,
    )


def _started(current: Pass, progress: Progress, state: StepState, attempt: Attempt) -> StepState:
    children = attempt_children(attempt)
    progress.starts.extend(children)
    miss = {} if state.status.cache == "Miss" else {"cache": "Miss", "cache_reason": _miss_reason(current, state)}
    return state.with_status(
        state="Running",
        attempt=attempt.number,
        job=children[-1].name,
        started=current.seen.now,
        not_before=None,
        reason=None,
        message=None,
        facts={"model": str(state.step.register_.model)} if state.step.register_ else {},
        **miss,
    )


def _miss_reason(current: Pass, state: StepState) -> str:
    if current.context.run.spec.reproduce_of is not None:
        return "reproduceOf does everything again"
    if state.step.max_age and state.status.key and current.seen.find_cached(state.status.key):
        return f"older than maxAge {state.step.max_age}"
    return "never done before with this content"

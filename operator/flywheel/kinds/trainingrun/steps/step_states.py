"""Where each step of a run stands, and how the end of an attempt changes that.

Waiting ──all it requires succeeded, `when` holds──► Running ──► Succeeded
   ▲  │                                     cache ─────────────────▲  │
   │  └─ a step above did not succeed ──► Skipped                  │  │ an output was lost: again, without the cache
   └────── retried, after a pause ◄── attempt failed ──────────────┘  ▼
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from flywheel.core.diagnosis.internal_error import bound_internal_error
from flywheel.core.diagnosis.outcome import Outcome
from flywheel.core.requeue import backoff
from flywheel.kinds.featureset.schema.pins import FeatureSetPin
from flywheel.kinds.trainingpipeline.schema.steps import Retry, Step
from flywheel.kinds.trainingrun.schema.status import MAX_FACTS, MAX_METRICS, StepStatus, Tries
from flywheel.kinds.trainingrun.steps.dependencies import required_names

INITIAL_BACKOFF = timedelta(seconds=5)
TERMINAL_STATES = frozenset(("Succeeded", "Failed", "Skipped", "Cancelled"))
LOST_INPUT = "ArtifactMissing"
MAX_RESTARTS = 3  # of steps whose output was lost
FEATURE_SETS = "featureSets"  # the fact that has a field of its own
WELL_KNOWN_METRICS = ("roc_auc", "f1", "rmse", "accuracy", "log_loss")  # stored first where there are too many


@dataclass(frozen=True)
class StepState:
    """A step and its status. `compared_metrics`: those that a `when` of another step reads."""

    step: Step
    status: StepStatus
    compared_metrics: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        return str(self.step.name)

    @property
    def is_over(self) -> bool:
        return self.status.state in TERMINAL_STATES

    def with_status(self, **changes: object) -> "StepState":
        """The same with some fields of its status changed."""
        return replace(self, status=self.status.model_copy(update=changes))

    def with_end(self, state: str, reason: str, message: str, now: datetime) -> "StepState":
        """The same after the step ended without a result."""
        return self.with_status(state=state, reason=reason, message=message[:512], finished=now)


StepStates = dict[str, StepState]


def step_states(steps: tuple[Step, ...], known: tuple[StepStatus, ...], every: tuple[Step, ...]) -> StepStates:
    """The states of these steps, as the run's status knows them; `every` step may compare their metrics."""
    by_name = {status.name: status for status in known}
    compared = [when.metric for step in every for when in step.when if when.metric is not None]

    def state(step: Step) -> StepState:
        name = str(step.name)
        metrics = frozenset(str(metric.name) for metric in compared if metric.step == step.name)
        return StepState(step, by_name.get(name) or StepStatus(name=name, state="Waiting"), metrics)

    return {str(step.name): state(step) for step in steps}


def after_attempt(state: StepState, outcome: Outcome, now: datetime) -> StepState:
    """The state after an attempt has ended: succeeded, retried later, or failed."""
    if outcome.result == "Succeeded":
        return _succeeded(state, outcome, now)
    tries = state.status.tries or Tries()
    outcome, internal_errors = bound_internal_error(outcome, tries.internal_errors)
    counter, limit = _retry_limit(outcome, state.step.retry)
    done = getattr(tries, counter) or 0
    reason, message = outcome.reason[:63], outcome.message[:512]
    if done >= limit:
        again = f" It was tried {done + 1} times." if done else ""
        return state.with_end("Failed", reason, f"{outcome.message[:470]}{again}", now)
    pause = timedelta(0) if counter == "out_of_memory" else backoff(done, initial=INITIAL_BACKOFF)
    return state.with_status(
        state="Waiting",
        tries=tries.model_copy(update={counter: done + 1, "internal_errors": internal_errors}),
        not_before=now + pause if pause else None,
        reason=reason,
        message=message,
    )


def restart_producers(states: StepStates, name: str, now: datetime) -> StepStates:
    """The states after a step found that an input is not in the store: the steps that made its inputs run again, and it waits."""
    state = states[name]
    producers = [each for each in required_names(state.step) if each in states and states[each].status.outputs]
    tries = state.status.tries or Tries()
    count = tries.infrastructure or 0
    if not producers or count >= MAX_RESTARTS:
        message = "What it takes is no longer in the store, and no step of this run can make it again; ask the Dataset for another check, and start a new run."
        return states | {name: state.with_end("Failed", LOST_INPUT, message, now)}
    restarted = {each: _restarted(states[each], name) for each in producers}
    counted = tries.model_copy(update={"infrastructure": count + 1})
    waiting = state.with_status(state="Waiting", tries=counted, reason=LOST_INPUT, message="Waits for what was lost.")
    return states | restarted | {name: waiting}


def _restarted(state: StepState, consumer: str) -> StepState:
    status = StepStatus(
        name=state.name,
        state="Waiting",
        attempt=state.status.attempt,
        cache="Miss",
        cache_reason=f"an output was lost from the store, as step '{consumer}' found"[:128],
        reason="OutputLost",
    )
    return replace(state, status=status)


def select_metrics(metrics: Mapping[str, float], compared: frozenset[str]) -> dict[str, str]:
    """As many metrics as the status stores: compared ones, then well-known ones, then the first; without NaN and infinity."""
    finite = {name: value for name, value in metrics.items() if value == value and abs(value) != float("inf")}
    ranked = sorted(finite, key=lambda name: (name not in compared, name not in WELL_KNOWN_METRICS))
    return {name: f"{finite[name]:.12g}" for name in sorted(ranked[:MAX_METRICS])}


def text_facts(facts: Mapping[str, object]) -> dict[str, str]:
    """Facts as text, other values as JSON."""
    return {
        str(name): value if isinstance(value, str) else json.dumps(value, sort_keys=True)
        for name, value in facts.items()
        if value is not None
    }


def _succeeded(state: StepState, outcome: Outcome, now: datetime) -> StepState:
    facts = text_facts({name: fact for name, fact in outcome.facts.items() if name != FEATURE_SETS})
    return state.with_status(
        state="Succeeded",
        reason=None,
        message=None,
        not_before=None,
        outputs={name: digest for name, digest in sorted(outcome.outputs.items()) if name != "tracking"},
        metrics=select_metrics(outcome.metrics, state.compared_metrics),
        facts=dict(sorted((name, text) for name, text in facts.items() if len(text) <= 1024)[:MAX_FACTS]),
        feature_sets=tuple(map(FeatureSetPin.model_validate, outcome.facts.get(FEATURE_SETS) or ())),
        image=outcome.image,
        finished=now,
    )


def _retry_limit(outcome: Outcome, retry: Retry) -> tuple[str, int]:
    """The counter of the status that the attempt counts for, and its limit."""
    if outcome.result == "Infrastructure":
        return "infrastructure", retry.infrastructure
    if outcome.reason == "OOMKilled":
        return "out_of_memory", retry.out_of_memory
    return "user", 0 if outcome.result == "Invalid" else retry.user

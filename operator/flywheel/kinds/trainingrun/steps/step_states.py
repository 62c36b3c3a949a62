"""The steps of a run as a table that is written in one pass from above to below: pure, and the same however often it is asked.

Waiting ──all that it needs succeeded, `when` holds──► Running ──► Succeeded
   ▲  │                                        cache ────────────────▲  │
   │  └─ something above did not ──► Skipped                         │  │ an output was lost: again, without the cache
   └────── tried again, after a pause ◄── Failed for now ────────────┘  ▼
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from flywheel.core.diagnosis.outcome import Outcome
from flywheel.core.requeue import backoff
from flywheel.kinds.trainingpipeline.schema.steps import Step
from flywheel.kinds.trainingrun.schema.status import MOST_FACTS, MOST_METRICS, StepStatus, Tries
from flywheel.kinds.trainingrun.steps.dependencies import needs

FIRST_PAUSE = timedelta(seconds=5)
OVER = frozenset(("Succeeded", "Failed", "Skipped", "Cancelled"))
LOST = "ArtifactMissing"
MOST_HEALINGS = 3
GOOD_METRICS = ("roc_auc", "f1", "rmse", "accuracy", "log_loss")  # kept first where there are too many


@dataclass(frozen=True)
class Row:
    """A step and where it stands. `asked`: the metrics by which a `when` of another step decides."""

    step: Step
    status: StepStatus
    asked: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        return str(self.step.name)

    @property
    def is_over(self) -> bool:
        return self.status.state in OVER

    def having(self, **changes: object) -> "Row":
        """With some fields of its status changed."""
        return replace(self, status=self.status.model_copy(update=changes))


Table = dict[str, Row]


def table(steps: tuple[Step, ...], known: tuple[StepStatus, ...], every: tuple[Step, ...]) -> Table:
    """The rows of these steps, as status knows them; `every` step may ask for their metrics."""
    by_name = {status.name: status for status in known}
    asked = [when.metric for step in every for when in step.when if when.metric is not None]

    def row(step: Step) -> Row:
        name = str(step.name)
        metrics = frozenset(str(metric.name) for metric in asked if metric.step == step.name)
        return Row(step, by_name.get(name) or StepStatus(name=name, state="Waiting"), metrics)

    return {str(step.name): row(step) for step in steps}


def judged(row: Row, ended: Outcome, now: datetime) -> Row:
    """The row after its attempt has ended."""
    now = now.replace(microsecond=0)
    if ended.result == "Succeeded":
        return _succeeded(row, ended, now)
    told: dict[str, object] = {"reason": ended.reason[:63], "message": ended.message[:512]}
    tries, retry = row.status.tries or Tries(), row.step.retry
    blame, limit = _blamed(ended, retry.user, retry.out_of_memory, retry.infrastructure)
    done = getattr(tries, blame) or 0
    if done >= limit:
        again = f" It was tried {done + 1} times." if done else ""
        told["message"] = f"{ended.message[:470]}{again}"
        return row.having(state="Failed", finished=now, **told)
    later = now + backoff(done, initial=FIRST_PAUSE) if blame != "out_of_memory" else None
    counted = tries.model_copy(update={blame: done + 1})
    return row.having(state="Waiting", tries=counted, not_before=later, **told)


def healed(rows: Table, ended: str, now: datetime) -> Table:
    """A step found that what it takes is not in the store: whoever made that does it again, and the step waits for it."""
    row = rows[ended]
    above = [name for name in needs(row.step) if name in rows and rows[name].status.outputs]
    tries = row.status.tries or Tries()
    count = tries.infrastructure or 0
    if not above or count >= MOST_HEALINGS:
        words = "What it takes is no longer in the store, and no step of this run can make it again; "
        mend = "ask the Dataset for another check, and start a new run."
        return rows | {ended: row.having(state="Failed", reason=LOST, message=words + mend, finished=now)}
    again = dict(rows)
    for name in above:
        fresh = f"an output was lost from the store, as step '{ended}' found"
        blank = StepStatus(
            name=name,
            state="Waiting",
            attempt=rows[name].status.attempt,
            cache="Miss",
            cache_reason=fresh[:128],
            reason="OutputLost",
        )
        again[name] = replace(rows[name], status=blank)
    counted = tries.model_copy(update={"infrastructure": count + 1})
    again[ended] = row.having(state="Waiting", tries=counted, reason=LOST, message="Waits for what was lost.")
    return again


def kept_metrics(metrics: Mapping[str, float], asked: frozenset[str]) -> dict[str, str]:
    """Those that are asked for, then well-known ones, then the first; NaN is left out, since nothing can be said of it."""
    finite = {name: value for name, value in metrics.items() if value == value and abs(value) != float("inf")}
    order = sorted(finite, key=lambda name: (name not in asked, name not in GOOD_METRICS))
    return {name: f"{finite[name]:.12g}" for name in sorted(order[:MOST_METRICS])}


def _succeeded(row: Row, ended: Outcome, now: datetime) -> Row:
    told = {str(name): value for name, value in ended.facts.items() if value is not None}
    facts = {name: value if isinstance(value, str) else _text(value) for name, value in told.items()}
    return row.having(
        state="Succeeded",
        reason=None,
        message=None,
        not_before=None,
        outputs={name: digest for name, digest in sorted(ended.outputs.items()) if name != "tracking"},
        metrics=kept_metrics(ended.metrics, row.asked),
        facts=dict(sorted((name, text) for name, text in facts.items() if len(text) <= 1024)[:MOST_FACTS]),
        image=ended.image,
        finished=now,
    )


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def _blamed(ended: Outcome, user: int, memory: int, infrastructure: int) -> tuple[str, int]:
    if ended.result == "Infrastructure":
        return "infrastructure", infrastructure
    if ended.reason == "OOMKilled":
        return "out_of_memory", memory
    return "user", 0 if ended.result == "Invalid" else user

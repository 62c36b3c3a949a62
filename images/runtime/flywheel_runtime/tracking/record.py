"""What a record says of one end of a trial or step."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from flywheel_runtime.contract.config.track import TrackConfig
from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.contract.paths import Attempt
from flywheel_runtime.tracking.index import canonical_bytes

MAX_RECORD_BYTES = 128 << 10  # a page of records is answered from memory
SHORTENED = ("loggedParameters", "tags", "metrics", "parameters")  # of a record that is too long, in this order
MAX_ENTRIES = 64  # what is left of each


@dataclass(frozen=True)
class Logged:
    """What code logged beside its metrics, and whether its log is stored. `metrics` are the last values of its curves.

    `problems` are sentences about what was logged and could not be read.
    """

    parameters: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    log: bool = False
    log_message: str | None = None
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class End:
    """What collect knows of main's end beside its report: the exit code, if the kernel says it, and the failure that follows from it."""

    exit_code: int | None = None
    failure: Failure | None = None


def new_record(
    track: TrackConfig,
    attempt: Attempt,
    item: int | None,
    env: Mapping[str, str],
    report: Mapping[str, Any],
    logged: Logged,
    end: End,
) -> dict[str, Any]:
    """The record of an end, without its number. `report` is collect's final message; `item` is this pod's of many, if it has one."""
    state, reason, message = decide_state(report, end)
    known = {_camel(name): value for name, value in asdict(track).items() if name != "logs"}
    record = {
        "v": 1,
        "id": record_id(attempt, item),
        **known,
        "uid": attempt.uid,
        "step": attempt.step,
        "attempt": int(attempt.attempt),
        "item": item,
        "state": state,
        "reason": reason,
        "message": message,
        "exitCode": end.exit_code,
        "tags": {**track.tags, **logged.tags},
        "loggedParameters": dict(logged.parameters),
        "metrics": dict(report.get("metrics") or logged.metrics),
        "image": env.get("FLYWHEEL_IMAGE") or None,
        "node": env.get("FLYWHEEL_NODE") or None,
        **{name: report.get(name) for name in ("usage", "startedAt", "finishedAt", "outputs")},
        "log": logged.log,
        "logMessage": logged.log_message,
        "problems": list(logged.problems),
    }
    return shorten_record(record)


def record_id(attempt: Attempt, item: int | None) -> str:
    """The same for all attempts of a step, of which the last one counts; each item of a step for many items has its own."""
    return ".".join((attempt.uid, attempt.step) if item is None else (attempt.uid, attempt.step, str(item)))


def shorten_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """Drop entries of large mappings until the record fits; `shortened` names them. All of them are in the output `tracking`."""
    short = dict(record)
    for name in SHORTENED:
        if len(canonical_bytes(short)) <= MAX_RECORD_BYTES:
            break
        few = {key: value for key, value in list(short[name].items())[:MAX_ENTRIES] if len(json.dumps(value)) < 512}
        short |= {name: few, "shortened": [*short.get("shortened", ()), name]}
    return short


def decide_state(report: Mapping[str, Any], end: End) -> tuple[str, str | None, str | None]:
    """State, reason and message of an end, by the rules with which the operator reads the pod (core/diagnosis/outcome.py), in their order.

    Where the exit code is not known, a main that has left all that it should have is taken for one that succeeded.
    """
    error = report.get("error") or {}
    if report.get("complete") and not report.get("timedOut") and end.failure is None:
        return "Succeeded", None, None
    if report.get("pruned"):
        return "Pruned", "Pruned", error.get("message")
    if report.get("oomKills") and end.exit_code != 0:
        return "Failed", "OOMKilled", "main needed more memory than its limit and was killed"
    if report.get("timedOut"):
        return "Failed", "TimedOut", "main was stopped at its timeout"
    if end.failure is not None:
        return "Failed", end.failure.reason, end.failure.message
    return "Failed", error.get("reason"), error.get("message")


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)

"""Columns of records: what a filter compares and an order sorts by."""

import math
import re
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

Value = str | float | bool | None
Group = Literal["metrics", "params", "tags", "attributes", "dataset"]
DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
MILLISECONDS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


class Column(NamedTuple):
    """One value of each record, such as metrics.roc_auc."""

    group: Group
    key: str


def extract_value(record: Mapping[str, Any], column: Column) -> Value:
    """The record's value, None if it has none. A metric that is NaN counts as missing; times are milliseconds since 1970."""
    match column.group:
        case "metrics":
            return metric_value(_mapping(record, "metrics").get(column.key))
        case "params":
            return _parameter(record, column.key)
        case "tags":
            value = _mapping(record, "tags").get(column.key)
            return None if value is None else sys.intern(str(value))
        case "dataset":
            return _text(record.get(DATASET_FIELDS[column.key]))
        case _:
            return ATTRIBUTES[column.key](record)


def metric_value(value: object) -> float | None:
    """A metric as a number; "Infinity" and "-Infinity" are numbers, and NaN is None."""
    if isinstance(value, str) and value in ("Infinity", "-Infinity"):
        return math.inf if value == "Infinity" else -math.inf
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return None if math.isnan(number) else number


def parse_time(text: object) -> float | None:
    """Milliseconds since 1970 of a time in ISO 8601, None if it is none."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000


def parse_duration(text: object) -> float | None:
    """Milliseconds of a duration such as 8760h or 1h30m, None if it is none."""
    if not isinstance(text, str) or not text or DURATION.sub("", text):
        return None
    return sum(float(number) * MILLISECONDS[unit] for number, unit in DURATION.findall(text))


def expiry(record: Mapping[str, Any]) -> float | None:
    """When the record is no longer shown if its object is gone, in milliseconds since 1970; None: never."""
    retention, finished = parse_duration(record.get("retention")), parse_time(record.get("finishedAt"))
    return None if retention is None or finished is None else finished + retention


def _parameter(record: Mapping[str, Any], key: str) -> Value:
    for name in ("parameters", "loggedParameters"):
        value = _mapping(record, name).get(key)
        if value is not None:
            return _scalar(value)
    return _text(record.get("estimator")) if key == "estimator" else None


def _scalar(value: object) -> Value:
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return metric_value(value)
    return sys.intern(str(value))


def _mapping(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = record.get(name)
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    return sys.intern(value) if isinstance(value, str) else None


def _field(name: str) -> Callable[[Mapping[str, Any]], Value]:
    return lambda record: _text(record.get(name))


def _number(name: str) -> Callable[[Mapping[str, Any]], Value]:
    return lambda record: metric_value(record.get(name))


def _time(name: str) -> Callable[[Mapping[str, Any]], Value]:
    return lambda record: parse_time(record.get(name))


DATASET_FIELDS = {"name": "dataset", "digest": "datasetDigest", "version": "datasetVersion"}
TIMES = frozenset({"start_time", "end_time"})
NUMBERS = frozenset({"trial", "repeat", "attempt", *TIMES})
ATTRIBUTES: dict[str, Callable[[Mapping[str, Any]], Value]] = {
    "id": _field("id"),
    "run_id": _field("id"),  # MLflow's name
    "kind": _field("kind"),
    "name": _field("name"),
    "experiment": lambda record: _text(record.get("name")) if record.get("kind") == "Experiment" else None,
    "pipeline": _field("pipeline"),
    "run": _field("run"),
    "step": _field("step"),
    "state": _field("state"),
    "status": _field("state"),  # MLflow's name
    "reason": _field("reason"),
    "estimator": _field("estimator"),
    "node": _field("node"),
    "image": _field("image"),
    "revision": lambda record: _text(_mapping(record, "code").get("revision")),
    "repository": lambda record: _text(_mapping(record, "code").get("repository")),
    "trial": _number("trial"),
    "repeat": _number("repeat"),
    "attempt": _number("attempt"),
    "start_time": _time("startedAt"),
    "end_time": _time("finishedAt"),
}

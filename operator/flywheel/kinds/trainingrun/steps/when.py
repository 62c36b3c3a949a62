"""Whether a step's `when` holds."""

import json
from collections.abc import Mapping
from typing import Literal

from flywheel.kinds.trainingpipeline.schema.steps import When
from flywheel.kinds.trainingrun.parameters import Value
from flywheel.kinds.trainingrun.steps.step_states import Table

Ended = Literal["Succeeded", "Failed"]


class Undefined(ValueError):
    """It cannot be said. The text says why."""


def first_unmet(
    conditions: tuple[When, ...], values: Mapping[str, Value], rows: Table, ended: Ended | None
) -> str | None:
    """The first condition that does not hold, in words; None where all do.

    Raises:
        Undefined: a metric that the step did not report, or a text where a number is asked for.
    """
    for condition in conditions:
        finding = _unmet(condition, values, rows, ended)
        if finding is not None:
            return finding
    return None


def _unmet(condition: When, values: Mapping[str, Value], rows: Table, ended: Ended | None) -> str | None:
    if condition.run is not None:
        return None if condition.run == ended else f"the run has {'' if ended == 'Failed' else 'not '}failed"
    if condition.parameter is not None:
        name, value = f"parameter '{condition.parameter}'", values.get(condition.parameter)
        if value is None:
            raise Undefined(f"{name} does not exist; correct when.parameter")
    else:
        assert condition.metric is not None, "a rule of the schema"
        name, value = f"metric '{condition.metric.name}' of step '{condition.metric.step}'", _metric(condition, rows)
    if condition.values is not None and _text(value) not in condition.values:
        return f"{name} is {_text(value)}, none of {', '.join(condition.values)}"
    number = _number(name, value) if condition.min is not None or condition.max is not None else 0.0
    if condition.min is not None and number < condition.min.value:
        return f"{name} is {number:.6g}, below {condition.min}"
    if condition.max is not None and number > condition.max.value:
        return f"{name} is {number:.6g}, above {condition.max}"
    return None


def _metric(condition: When, rows: Table) -> Value:
    assert condition.metric is not None, "asked before"
    row = rows.get(str(condition.metric.step))
    reported = row.status.metrics if row else {}
    if condition.metric.name not in reported:
        known = ", ".join(sorted(reported)) or "none"
        raise Undefined(
            f"step '{condition.metric.step}' reported no {condition.metric.name} (it reported {known}); correct when.metric"
        )
    return float(reported[condition.metric.name])


def _number(name: str, value: Value) -> float:
    try:
        return float(value)
    except ValueError:
        raise Undefined(f"{name} is {value!r}, which is no number; use values") from None


def _text(value: Value) -> str:
    return value if isinstance(value, str) else json.dumps(value)

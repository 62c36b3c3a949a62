"""Whether the conditions of a step's `when` hold."""

import json
from collections.abc import Mapping
from typing import Literal

from flywheel.kinds.trainingpipeline.schema.steps import MetricOf, When
from flywheel.kinds.trainingrun.parameters import Value
from flywheel.kinds.trainingrun.steps.step_states import StepStates

RunResult = Literal["Succeeded", "Failed"]


class UndefinedCondition(ValueError):
    """A condition cannot be evaluated; the message says why."""


def first_unmet(
    conditions: tuple[When, ...], values: Mapping[str, Value], states: StepStates, result: RunResult | None
) -> str | None:
    """Why the first condition that does not hold does not; None where all hold. `result` is that of the steps before finally.

    Raises:
        UndefinedCondition: the step did not report the metric, or a number is compared with a text.
    """
    findings = (_unmet(condition, values, states, result) for condition in conditions)
    return next((finding for finding in findings if finding is not None), None)


def _unmet(condition: When, values: Mapping[str, Value], states: StepStates, result: RunResult | None) -> str | None:
    if condition.run is not None:
        return None if condition.run == result else f"the run has {'' if result == 'Failed' else 'not '}failed"
    if condition.metric is not None:
        name = f"metric '{condition.metric.name}' of step '{condition.metric.step}'"
        value = _metric(condition.metric, states)
    else:
        parameter = condition.parameter or ""
        name = f"parameter '{parameter}'"
        if parameter not in values:
            raise UndefinedCondition(f"{name} does not exist; correct when.parameter")
        value = values[parameter]
    if condition.values is not None and _to_text(value) not in condition.values:
        return f"{name} is {_to_text(value)}, none of {', '.join(condition.values)}"
    number = _to_number(name, value) if condition.min is not None or condition.max is not None else 0.0
    if condition.min is not None and number < condition.min.value:
        return f"{name} is {number:.6g}, below {condition.min}"
    if condition.max is not None and number > condition.max.value:
        return f"{name} is {number:.6g}, above {condition.max}"
    return None


def _metric(wanted: MetricOf, states: StepStates) -> Value:
    state = states.get(str(wanted.step))
    reported = state.status.metrics if state else {}
    if wanted.name not in reported:
        known = ", ".join(sorted(reported)) or "none"
        raise UndefinedCondition(
            f"step '{wanted.step}' reported no {wanted.name} (it reported {known}); correct when.metric"
        )
    return float(reported[wanted.name])


def _to_number(name: str, value: Value) -> float:
    try:
        return float(value)
    except ValueError:
        raise UndefinedCondition(f"{name} is {value!r}, which is no number; use values") from None


def _to_text(value: Value) -> str:
    return value if isinstance(value, str) else json.dumps(value)

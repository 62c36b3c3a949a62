"""Python values as the Experiment's search: pairs are ranges, lists are choices, anything else is fixed."""

import json
from collections.abc import Mapping
from typing import Any

from flywheel.client.errors import FlywheelError


def format_search(search: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the distributions: `(1e-3, 0.3, "log")` and `(0, 1)` are ranges, of whole numbers if both ends are; `[2, 4]` is a choice.

    Raises:
        FlywheelError: a value is neither.
    """
    return {name: _distribution(name, given) for name, given in search.items()}


def format_parameters(parameters: Mapping[str, Any]) -> dict[str, int | str]:
    """Returns fixed parameters as the spec has them: whole numbers as they are, anything else as JSON in a text.

    Raises:
        FlywheelError: a value is no number, Boolean, text, None, or list of these.
    """
    return {name: _number_or_text(name, value) for name, value in parameters.items()}


def _distribution(name: str, given: Any) -> dict[str, Any]:
    if isinstance(given, list):
        if not given:
            raise _refusal(name, given)
        return {"choice": [format_text(name, each) for each in given]}
    if not isinstance(given, tuple) or len(given) not in (2, 3) or given[2:] not in ((), ("log",)):
        raise _refusal(name, given)
    low, high = given[:2]
    if any(isinstance(each, bool) or not isinstance(each, int | float) for each in (low, high)) or not low < high:
        raise _refusal(name, given)
    scale = {"log": True} if given[2:] else {}
    if isinstance(low, int) and isinstance(high, int):
        return {"int": {"min": low, "max": high, **scale}}
    return {"float": {"min": _decimal(low), "max": _decimal(high), **scale}}


def _number_or_text(name: str, value: Any) -> int | str:
    return value if isinstance(value, int) and not isinstance(value, bool) else format_text(name, value)


def format_text(name: str, value: Any) -> str:
    """Returns a value as the text that a trial reads back as that value: JSON, or the text itself where it is no JSON."""
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
    except (TypeError, ValueError):
        raise FlywheelError(
            f"nothing was started: parameter '{name}' is {value!r}; give a finite number, True, False, None, a text, or a list of these",
            reason="ParameterInvalid",
        ) from None
    if isinstance(value, dict):
        raise FlywheelError(
            f"nothing was started: parameter '{name}' is a dictionary; give its values as parameters of their own",
            reason="ParameterInvalid",
        )
    if isinstance(value, str) and not _is_json(value):
        return value
    return text


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _decimal(value: float) -> str:
    return repr(float(value))


def _refusal(name: str, given: Any) -> FlywheelError:
    return FlywheelError(
        f"nothing was started: search['{name}'] is {given!r}; give a range such as (1e-3, 0.3) or (1e-3, 0.3, 'log') with the smaller end first, or a list of choices such as [2, 4, 8]",
        reason="SearchInvalid",
    )

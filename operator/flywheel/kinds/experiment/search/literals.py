"""Parameters that are written as texts, since specs hold no floats, Booleans or arrays."""

import json
import math
from typing import Any, NoReturn


def parse_literal(value: float | int | str) -> Any:
    """The value that a text stands for: that of a JSON number, Boolean, null, string or array; any other text is itself.

    The runtime image has the same rule for trainer sklearn (models/literals.py); tests/contracts/literals.json holds both to it.
    """
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value, parse_float=_finite, parse_constant=_refuse, object_pairs_hook=_refuse)
    except (ValueError, RecursionError):
        return value


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refuse(text)


def _refuse(found: Any) -> NoReturn:
    raise ValueError(f"{found} is no literal")

"""Parameters that are written as texts, since specs hold no floats, Booleans or arrays."""

import json
import math
from typing import Any, NoReturn


def parse_literal(value: Any) -> Any:
    """The value that a text stands for: that of a JSON number, Boolean, null, string or array; any other text is itself.

    An array is a tuple, which scikit-learn takes where it takes a list. The operator has the same rule for containers
    (kinds/experiment/search/literals.py); tests/contracts/literals.json holds both to it.
    """
    if isinstance(value, list):
        return tuple(parse_literal(item) for item in value)
    if not isinstance(value, str):
        return value
    try:
        return _as_tuple(json.loads(value, parse_float=_finite, parse_constant=_refuse, object_pairs_hook=_refuse))
    except (ValueError, RecursionError):
        return value


def _as_tuple(value: Any) -> Any:
    return tuple(map(_as_tuple, value)) if isinstance(value, list) else value


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refuse(text)


def _refuse(found: Any) -> NoReturn:
    raise ValueError(f"{found} is no literal")

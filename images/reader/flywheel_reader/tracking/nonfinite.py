"""Numbers that JSON lacks: they travel as the names NaN, Infinity and -Infinity."""

import math
from typing import Any

MAX_INTEGER = 2**63
MAX_DIGITS = 64


def without_nonfinite(value: Any) -> Any:
    """The value with "NaN", "Infinity" and "-Infinity" in place of such numbers."""
    if isinstance(value, dict):
        return {key: without_nonfinite(each) for key, each in value.items()}
    if isinstance(value, list):
        return [without_nonfinite(each) for each in value]
    if isinstance(value, int) and abs(value) >= MAX_INTEGER:
        return str(value)[:MAX_DIGITS]  # JSON's readers know no larger ones
    return finite_or_name(value) if isinstance(value, float) else value


def finite_or_name(value: float) -> float | str:
    """A finite number, else its name."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"

"""Every function of DuckDB that can be compiled, by its name in a bound plan, and why well-known others cannot."""

from collections.abc import Callable, Mapping

from flywheel_runtime.features.errors import ExpressionRefused
from flywheel_runtime.features.functions import (
    arithmetic,
    comparisons,
    date_arithmetic,
    date_parts,
    division,
    hashing,
    reals,
    rounding,
    strings,
)
from flywheel_runtime.features.values import Call, Compilation, Value

FUNCTIONS: Mapping[str, Callable[[Compilation, Call], Value]] = {
    **arithmetic.FUNCTIONS,
    **division.FUNCTIONS,
    **rounding.FUNCTIONS,
    **reals.FUNCTIONS,
    **comparisons.FUNCTIONS,
    **date_parts.FUNCTIONS,
    **date_arithmetic.FUNCTIONS,
    **strings.FUNCTIONS,
    **hashing.FUNCTIONS,
}
# Of these, NaN in an operand is NaN in the result.
NAN_PROPAGATING = frozenset(
    [
        "+",
        "-",
        "*",
        "/",
        "%",
        "floor",
        "ceil",
        "round",
        "abs",
        "sqrt",
        "exp",
        "ln",
        "sin",
        "cos",
        "log",
        "log10",
        "log2",
    ]
)
_FP32_ALONE = "onnxruntime computes it in FP32 alone"
_VOLATILE = (
    "it has another value each time, so that training and serving would differ; let callers bring it as a column"
)
_TEXTS = "ONNX has no such operator on texts; prepare the text before, and bring it as a column"
REFUSALS: Mapping[str, str] = {
    **dict.fromkeys(("asin", "acos", "atan", "atan2", "cot"), _FP32_ALONE),
    **dict.fromkeys(("sinh", "cosh", "asinh", "acosh", "atanh"), f"{_FP32_ALONE}; write it with exp() and ln()"),
    **dict.fromkeys(
        (
            "random",
            "now",
            "current_date",
            "today",
            "current_timestamp",
            "get_current_timestamp",
            "uuid",
            "gen_random_uuid",
            "nextval",
        ),
        _VOLATILE,
    ),
    **dict.fromkeys(
        ("trim", "ltrim", "rtrim", "replace", "regexp_replace", "regexp_extract", "right", "reverse"), _TEXTS
    ),
    "strftime": "ONNX has no format of times; use year(), month(), hour() and the like",
    "timezone": "a time zone's rules are not in the graph; bring TIMESTAMPs in UTC",
    "normalized_interval": "ONNX has no INTERVAL; compare the epoch() of both",
    "<<": "a shift that overflows is an error; multiply by a power of two",
    ">>": "ONNX shifts unsigned numbers alone; divide by a power of two with //",
}


# How the results of what is not exact differ from DuckDB's.
_LAST_BITS = "differs in the last bits, and is equal as FP32"
DIFFERENCES: Mapping[str, str] = {
    **dict.fromkeys(reals.INEXACT, _LAST_BITS),
    **dict.fromkeys(("sin", "cos", "tan"), f"{_LAST_BITS} but beside a zero"),
    **dict.fromkeys(("upper", "ucase"), "leaves 'ß', which DuckDB makes 'ẞ'"),
    "cast of VARCHAR to DOUBLE": "is NULL for other texts than common numbers, such as 'inf', '1_000' and '1e400'",
    "epoch of an INTERVAL": _LAST_BITS,
}


def translate_call(compilation: Compilation, call: Call) -> Value:
    """The value of a function's call. Raises ExpressionRefused for one that is unknown, naming it."""
    translate = FUNCTIONS.get(call.name)
    if translate is None:
        reason = REFUSALS.get(
            call.name, "it has no equal in ONNX; docs/feature-functions.md lists the functions that have"
        )
        raise ExpressionRefused(f"the function '{call.name}' cannot be compiled: {reason}")
    compilation.functions.add(call.name)
    return translate(compilation, call)

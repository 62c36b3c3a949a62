"""Timestamps as text (RFC 3339) and as numbers: microseconds since 1970-01-01T00:00:00Z.

The same texts are timestamps, with the same values, in the check of a Dataset and in batch inference
(images/runtime/flywheel_runtime/datasets/types.py).
"""

import re
from datetime import UTC, date, datetime, timedelta

import numpy as np

from flywheel_serving.model.datatypes import Array

TIMESTAMP = "Timestamp"  # the content of an input in signature.json
UNIT = "microseconds since 1970-01-01T00:00:00Z"
EXPECTED = f"RFC 3339 as 2024-01-31T09:30:00Z (without offset UTC, a date alone midnight), or {UNIT}"
MAX_SHOWN_CHARACTERS = 60

_TEXT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)"
    r"(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?(?:Z|([+-])(\d\d)(?::?(\d\d))?)?)?",
    re.ASCII,
)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAYS_OF_400_YEARS = 146_097
_END_OF_DAY = (24, 0, 0, 0)


def parse_timestamp(text: str) -> int:
    """Microseconds since 1970; digits after them are cut off. Raises ValueError with the finding."""
    found = _TEXT.fullmatch(text)
    if found is None:
        raise _refusal(text)
    year, month, day = map(int, found.group(1, 2, 3))
    hour, minute, second, sign, hours_off, minutes_off = (found[group] for group in (4, 5, 6, 8, 9, 10))
    fraction = int((found[7] or "")[:6].ljust(6, "0"))
    clock = (int(hour or 0), int(minute or 0), int(second or 0), fraction)
    offset = int(hours_off or 0) * 60 + int(minutes_off or 0)
    if (clock[0] > 23 and clock != _END_OF_DAY) or clock[1] > 59 or clock[2] > 59:
        raise _refusal(text)
    try:
        days = date(year, month, day).toordinal() if year else date(400, month, day).toordinal() - _DAYS_OF_400_YEARS
    except ValueError as error:
        raise _refusal(text) from error
    minutes = (days - _EPOCH_DAY) * 1440 + clock[0] * 60 + clock[1] + (offset if sign == "-" else -offset)
    return (minutes * 60 + clock[2]) * 1_000_000 + fraction


def _refusal(value: object) -> ValueError:
    shown = repr(value[:MAX_SHOWN_CHARACTERS]) if isinstance(value, str) else str(value)[:MAX_SHOWN_CHARACTERS]
    return ValueError(f"found {shown}, wanted {EXPECTED}")


def to_numbers(texts: Array) -> Array:
    """The numbers of texts, in the same shape; NaN for an empty text. Raises ValueError naming the row."""
    numbers = np.empty(texts.size, np.float64)
    width = max(1, texts.size // max(1, len(texts)))
    for position, text in enumerate(texts.ravel()):
        try:
            numbers[position] = parse_timestamp(text) if text else np.nan
        except ValueError as error:
            raise ValueError(f"row {position // width}: {error}") from error
    return numbers.reshape(texts.shape)


def format_timestamp(number: float) -> str | None:
    """RFC 3339 in UTC, None for a number that is no time of the years 1 to 9999."""
    try:
        return (_EPOCH + timedelta(microseconds=int(number))).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError):
        return None

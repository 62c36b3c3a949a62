"""Times of a period, as options of commands give them."""

import re
from argparse import ArgumentTypeError
from datetime import UTC, datetime

from flywheel.core.resource.values import Duration


def parse_moment(text: str) -> datetime:
    """Parses `--since` and `--until`: how long ago, or a time in ISO 8601, which is UTC without a zone."""
    if re.fullmatch(Duration.pattern, text):
        return datetime.now(UTC) - Duration(text).timedelta
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"'{text}' must be a time such as 6h (ago) or 2026-11-28T12:00:00Z") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)

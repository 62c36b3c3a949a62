"""The decision on a token."""

import enum
from dataclasses import dataclass
from functools import partial

FOREVER = float("inf")


class Outcome(enum.Enum):
    """Whether a caller is admitted, or why not."""

    ALLOWED = "allowed"
    UNAUTHENTICATED = "unauthenticated"  # the token identifies no caller (401, UNAUTHENTICATED)
    FORBIDDEN = "forbidden"  # the caller is known and may not call this service (403, PERMISSION_DENIED)
    UNAVAILABLE = "unavailable"  # it cannot be decided now, so the request is refused (503, UNAVAILABLE)


@dataclass(frozen=True, slots=True)
class Verdict:
    """`message` is the finding and the next step. `valid_seconds` bounds how long it holds, such as until the token expires."""

    outcome: Outcome
    message: str = ""
    valid_seconds: float = FOREVER


ALLOWED = Verdict(Outcome.ALLOWED)
unauthenticated_verdict = partial(Verdict, Outcome.UNAUTHENTICATED)
forbidden_verdict = partial(Verdict, Outcome.FORBIDDEN)
unavailable_verdict = partial(Verdict, Outcome.UNAVAILABLE)


class CannotStart(Exception):
    """The server could admit no caller. `reason` is CamelCase for conditions, the message is for the user."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason

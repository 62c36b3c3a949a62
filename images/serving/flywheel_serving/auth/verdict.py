"""What is known of a token."""

import enum
from dataclasses import dataclass

FOR_EVER = float("inf")


class Outcome(enum.Enum):
    ALLOWED = "allowed"
    UNAUTHENTICATED = "unauthenticated"  # nobody is known by it (401, UNAUTHENTICATED)
    FORBIDDEN = "forbidden"  # who it is, is known, and may not ask (403, PERMISSION_DENIED)
    UNAVAILABLE = "unavailable"  # it cannot be decided now, so it is refused (503, UNAVAILABLE)


@dataclass(frozen=True, slots=True)
class Verdict:
    """`message` says what was found and the next step. `seconds` is how long it can be true at most, such as until the token ends."""

    outcome: Outcome
    message: str = ""
    seconds: float = FOR_EVER


ALLOWED = Verdict(Outcome.ALLOWED)


def unauthenticated(message: str) -> Verdict:
    return Verdict(Outcome.UNAUTHENTICATED, message)


def forbidden(message: str) -> Verdict:
    return Verdict(Outcome.FORBIDDEN, message)


def unavailable(message: str) -> Verdict:
    return Verdict(Outcome.UNAVAILABLE, message)


class CannotStart(Exception):
    """Nobody could be let in. `reason` is CamelCase for conditions, the message is for the user."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason

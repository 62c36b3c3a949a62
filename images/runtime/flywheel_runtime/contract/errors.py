"""The failure that a pod reports: a reason for programs, a sentence for people, and whether trying again can help."""


class Failure(Exception):
    """Ends fetch or collect with a message of the contract (images/README.md, "Messages")."""

    def __init__(self, reason: str, message: str, *, retry: bool) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.retry = retry


class Transient(Exception):
    """May go away by itself: a lost connection, 5xx, SlowDown."""

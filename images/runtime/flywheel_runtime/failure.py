"""The failure that a pod reports: a reason for programs, a sentence for people, and whether trying again can help."""


class Failure(Exception):
    """Ends fetch or collect with a message of the contract (images/README.md, "Messages")."""

    def __init__(self, reason: str, message: str, *, retry: bool) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.retry = retry


def human_size(size: int) -> str:
    """Bytes as people read them: 812 B, 28.4 MiB, 2.0 GiB."""
    if size < 1024:
        return f"{size} B"
    value = float(size)
    for unit in ("KiB", "MiB", "GiB"):
        value /= 1024
        if value < 1024:
            return f"{value:.1f} {unit}"
    return f"{value / 1024:.1f} TiB"

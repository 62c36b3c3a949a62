"""Errors of requests to the API server."""

from http import HTTPStatus


class ApiError(Exception):
    """A refused or failed request. `status` is 0 if there was no response; `message` is the server's own."""

    def __init__(self, status: int, reason: str, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after  # seconds

    @property
    def not_found(self) -> bool:
        """Whether the object or its type does not exist."""
        return self.status == HTTPStatus.NOT_FOUND

    @property
    def conflict(self) -> bool:
        """Whether the object has changed, or the name is taken. An apply with the uid of a deleted object causes 422 (measured)."""
        predecessor = self.status == HTTPStatus.UNPROCESSABLE_ENTITY and "metadata.uid" in self.message
        return self.status == HTTPStatus.CONFLICT or predecessor

    @property
    def invalid(self) -> bool:
        """Whether the body can never be accepted: it breaks rules (422), or has fields that the schema does not know (400, and 500 from apply)."""
        untyped = "failed to create typed patch object" in self.message
        rules = self.status in (HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.BAD_REQUEST)
        return (rules or untyped) and not self.conflict

    @property
    def over_quota(self) -> bool:
        """Whether a ResourceQuota refuses it for now."""
        return self.status == HTTPStatus.FORBIDDEN and "exceeded quota" in self.message

    @property
    def namespace_terminating(self) -> bool:
        """Whether nothing can be created, since the namespace is being deleted."""
        return self.status in (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND) and (
            "being terminated" in self.message or self.reason == "NamespaceTerminating"
        )

    @property
    def forbidden(self) -> bool:
        """Whether RBAC or an admission policy refuses it."""
        return self.status == HTTPStatus.FORBIDDEN

    @property
    def throttled(self) -> bool:
        """Whether the server limits the rate of requests."""
        return self.status == HTTPStatus.TOO_MANY_REQUESTS

    def describe(self) -> str:
        """Returns a sentence for a user, with the server's own message."""
        if self.status == 0:
            return f"the API server gave no response ({self.message}); see whether 'kubectl version' works"
        if self.forbidden:
            return f"the API server does not let you: {self.message}"
        return f"the API server refused: {self.message}"


class NotLeading(Exception):
    """A write was held back, since this process may no longer be the leader."""

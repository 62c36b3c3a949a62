"""What the API server answers when it does not do as asked."""

from http import HTTPStatus


class ApiError(Exception):
    """A refused or failed request. `status` is 0 where no answer came; `message` is in the server's own words."""

    def __init__(self, status: int, reason: str, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after  # seconds

    @property
    def missing(self) -> bool:
        """No such object."""
        return self.status == HTTPStatus.NOT_FOUND

    @property
    def conflict(self) -> bool:
        """Somebody was faster, or the name is taken. An apply that names the uid of a predecessor is told so by 422 (measured)."""
        predecessor = self.status == HTTPStatus.UNPROCESSABLE_ENTITY and "metadata.uid" in self.message
        return self.status == HTTPStatus.CONFLICT or predecessor

    @property
    def invalid(self) -> bool:
        """The body will never be accepted: broken rules (422), or fields that the schema does not know (400, and 500 from apply)."""
        untyped = "failed to create typed patch object" in self.message
        rules = self.status in (HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.BAD_REQUEST)
        return (rules or untyped) and not self.conflict

    @property
    def over_quota(self) -> bool:
        """A ResourceQuota says no for now."""
        return self.status == HTTPStatus.FORBIDDEN and "exceeded quota" in self.message

    @property
    def namespace_terminating(self) -> bool:
        """Nothing new may be made, since the namespace is going."""
        return self.status in (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND) and (
            "being terminated" in self.message or self.reason == "NamespaceTerminating"
        )

    @property
    def forbidden(self) -> bool:
        """RBAC or an admission policy says no."""
        return self.status == HTTPStatus.FORBIDDEN

    @property
    def throttled(self) -> bool:
        """The server asks for patience."""
        return self.status == HTTPStatus.TOO_MANY_REQUESTS


class NotLeading(Exception):
    """A write was held back, since this process may no longer be the leader."""

"""Errors that a caller receives as `{"error": {"reason", "message"}}`."""

from typing import Any


class ReaderError(Exception):
    """A request that fails. `details` are further members of the response, such as what is still known."""

    status = 500
    reason = "InternalError"

    def __init__(self, message: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details = details or {}


class BadRequest(ReaderError):
    """A parameter that the endpoint does not have, or a value that it does not take."""

    status, reason = 400, "BadRequest"


class BadFilter(BadRequest):
    """A filter or an order that cannot be read."""

    reason = "BadFilter"


class Unauthorized(ReaderError):
    """No token, or one that the API server does not accept."""

    status, reason = 401, "Unauthorized"


class Forbidden(ReaderError):
    """The caller lacks the right; also where the object does not exist."""

    status, reason = 403, "Forbidden"


class NotFound(ReaderError):
    """What the caller may read does not exist."""

    status, reason = 404, "NotFound"


class TooLarge(ReaderError):
    """A response that would exceed its bound."""

    status, reason = 413, "TooLarge"


class RangeNotSatisfiable(ReaderError):
    """A range beyond the end."""

    status, reason = 416, "RangeNotSatisfiable"


class StoreUnreachable(ReaderError):
    """The store does not respond, or refuses the reader's key."""

    status, reason = 503, "StoreUnreachable"


class TooSlow(StoreUnreachable):
    """The store gives what was wanted too slowly."""


class StoredDataInvalid(ReaderError):
    """Bytes in the store that are not what their digest or their format says."""

    status, reason = 502, "StoredDataInvalid"


class ApiServerUnreachable(ReaderError):
    """The API server, which says who the caller is and what they may read, does not respond."""

    status, reason = 503, "ApiServerUnreachable"


class Busy(ReaderError):
    """More requests than the reader handles at a time."""

    status, reason = 503, "Busy"

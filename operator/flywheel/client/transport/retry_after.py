"""When a busy server wants a request again."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

MAX_RETRIES, MAX_RETRY_SECONDS = 4, 10.0


def retry_seconds(response: "BaseHTTPResponse") -> float | None:
    """Returns after how many seconds the request may be sent again, at most MAX_RETRY_SECONDS; None where the server does not say."""
    seconds = response.headers.get("Retry-After", "")
    return min(float(seconds), MAX_RETRY_SECONDS) if seconds.isdigit() else None

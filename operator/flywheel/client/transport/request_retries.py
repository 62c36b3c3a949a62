"""A request to a model server, sent again where the server says so."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING

from flywheel.client.transport.endpoints import Endpoint, HTTPRequest
from flywheel.client.transport.retry_after import MAX_RETRIES, retry_seconds

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

RETRIED = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)


@contextmanager
def open_response(
    endpoint: Endpoint, request: HTTPRequest, renew: Callable[[], None], sleep: Callable[[float], None]
) -> Iterator["BaseHTTPResponse"]:
    """Opens the response, in a `with` block; once more after `renew` where a token was not accepted, and where a busy server says when."""
    retries, is_renewed = 0, False
    while True:
        with closing(endpoint.open(request)) as response:
            if response.status == HTTPStatus.UNAUTHORIZED and not is_renewed:
                is_renewed = True
                renew()
                continue
            seconds = retry_seconds(response) if response.status in RETRIED else None
            if seconds is None or retries == MAX_RETRIES:
                yield response
                return
        sleep(seconds)
        retries += 1

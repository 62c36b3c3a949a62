"""Repeating requests whose connection broke."""

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError, NewConnectionError, TimeoutError

# Seconds before each further attempt of a user's request, as after the restart of a server or of a proxy before it.
USER_PAUSES = (0.2, 0.6)
T = TypeVar("T")


def repeat_broken(send: Callable[[], T], pauses: Sequence[float]) -> T:
    """Calls `send`, and again after each pause while its connection breaks. A timeout is final: the next attempt would take as long.

    It is for requests that may be received twice.

    Raises:
        HTTPError, ApiException: of the last attempt.
    """
    for pause in pauses:
        try:
            return send()
        except (HTTPError, ApiException) as error:
            # A connection that is refused is a TimeoutError too, by its class.
            if isinstance(error, TimeoutError) and not isinstance(error, NewConnectionError):
                raise
            time.sleep(pause)
    return send()

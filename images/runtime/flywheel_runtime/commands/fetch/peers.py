"""A group's pods begin together: fetch ends when every rank has an address, so that main never asks for a name that is not there yet.

It does not wait for ever: two groups that each hold half of a cluster would, and so one of them gives its half back and tries again.
"""

import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from flywheel_runtime.contract.errors import Failure

TIMEOUT_SECONDS = 600.0  # seconds
CHECK_INTERVAL_SECONDS = 1.0


def resolve(name: str) -> bool:
    """Whether a name has an address."""
    with suppress(socket.gaierror):
        return bool(socket.getaddrinfo(name, None))
    return False


def wait_for_peers(
    names: Sequence[str],
    *,
    found: Callable[[str], bool] = resolve,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Until all names have addresses. Failure PeersMissing, worth another try, when time is over."""
    give_up, missing = clock() + TIMEOUT_SECONDS, list(names)
    while missing := [name for name in missing if not found(name)]:
        if clock() >= give_up:
            words = f"{len(missing)} of {len(names)} pods of the group have not started within {TIMEOUT_SECONDS:.0f} s, '{missing[0]}' among them"
            raise Failure("PeersMissing", f"{words}; is there room for all of them at once?", retry=True)
        sleep(CHECK_INTERVAL_SECONDS)

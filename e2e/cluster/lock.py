"""One at a time: whoever changes the machine's cluster, or builds into the cache, holds a lock that names its holder.

The kernel releases the lock when its holder dies, so a killed `up` blocks nobody.
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from e2e.cluster.paths import CHECKOUT
from e2e.cluster.progress import announce

SAY_AGAIN_SECONDS = 15


def holder() -> str:
    since = datetime.now().astimezone().isoformat(timespec="seconds")
    return json.dumps({"checkout": str(CHECKOUT), "pid": os.getpid(), "since": since})


def describe(what: str, text: str) -> str:
    try:
        exclusive_lock = json.loads(text)
        return f"{what} is being changed from {exclusive_lock['checkout']} (pid {exclusive_lock['pid']}, since {exclusive_lock['since']}); waiting for it"
    except (ValueError, KeyError, TypeError):
        return f"{what} is being changed by another process that has not yet said who it is; waiting for it"


@contextmanager
def exclusive_lock(path: Path, what: str) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        said = 0.0
        while not try_lock(file.fileno()):
            if time.monotonic() - said > SAY_AGAIN_SECONDS:
                said = time.monotonic()
                announce(describe(what, path.read_text()))
            time.sleep(0.2)
        file.truncate(0)
        file.write(holder())
        file.flush()
        yield
        file.truncate(0)


def is_held(path: Path) -> bool:
    with path.open() as file:
        return not try_lock(file.fileno())


def try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

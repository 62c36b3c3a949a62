"""Retries the first request of a reviewer, while what it depends on may still be starting."""

import asyncio
from collections.abc import Awaitable, Callable

START_TIMEOUT_SECONDS = 20.0
RETRY_INTERVAL_SECONDS = 0.5


async def retry(attempt: Callable[[], Awaitable[None]], transient: tuple[type[Exception], ...]) -> None:
    """Awaits `attempt` until it succeeds; raises the last of the `transient` errors after START_TIMEOUT_SECONDS."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + START_TIMEOUT_SECONDS
    while True:
        try:
            return await attempt()
        except transient:
            if loop.time() > deadline:
                raise
        await asyncio.sleep(RETRY_INTERVAL_SECONDS)

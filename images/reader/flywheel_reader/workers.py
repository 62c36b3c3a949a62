"""Threads for what takes more than a few milliseconds, so that the event loop stays free."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

WORKERS = 3
P = ParamSpec("P")
T = TypeVar("T")
_pool = ThreadPoolExecutor(WORKERS, "worker")


async def run_in_worker(function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """The result of the function, which runs in one of a few threads."""
    return await asyncio.get_running_loop().run_in_executor(_pool, lambda: function(*arguments, **named))

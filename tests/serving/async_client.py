"""tritonclient's asynchronous clients behind the interface of the blocking ones, so that one suite tests all."""

import asyncio
from collections.abc import Callable
from typing import Any


class Blocking:
    """Each call opens a client with `make` on a running loop, awaits the response and closes it."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make

    def __getattr__(self, name: str) -> Callable[..., Any]:
        async def call(*args: Any, **kwargs: Any) -> Any:
            client = self._make()
            try:
                return await getattr(client, name)(*args, **kwargs)
            finally:
                await client.close()

        return lambda *args, **kwargs: asyncio.run(call(*args, **kwargs))

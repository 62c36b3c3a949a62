"""tritonclient's asynchronous clients with the face of its others, so that one suite serves all."""

import asyncio
from collections.abc import Callable
from typing import Any


class Blocking:
    """Each call opens a client, awaits the answer and closes: `make` is called on a running loop, as they want it."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make

    def __getattr__(self, name: str) -> Callable[..., Any]:
        async def ask(*words: Any, **options: Any) -> Any:
            client = self._make()
            try:
                return await getattr(client, name)(*words, **options)
            finally:
                await client.close()

        return lambda *words, **options: asyncio.run(ask(*words, **options))

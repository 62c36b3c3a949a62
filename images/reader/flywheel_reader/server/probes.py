"""The port of the probes: it has its own connections, so that those of callers do not fill it, and the loop of the requests."""

import asyncio
from contextlib import suppress

MAX_PROBES = 16  # connections at a time
PROBE_SECONDS = 5.0
MAX_HEAD_BYTES = 8 << 10
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n"


class ProbeServer:
    """Says ok to every request, as long as the process serves."""

    def __init__(self) -> None:
        self._open = 0
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> None:
        """Listens on the port. Raises OSError."""
        self._server = await asyncio.start_server(self._respond, host, port, limit=MAX_HEAD_BYTES)

    def close(self) -> None:
        """Ends listening."""
        if self._server is not None:
            self._server.close()

    async def _respond(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            if self._open <= MAX_PROBES:
                with suppress(TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                    async with asyncio.timeout(PROBE_SECONDS):
                        await reader.readuntil(b"\r\n\r\n")
                        writer.write(OK)
                        await writer.drain()
        finally:
            self._open -= 1
            writer.close()

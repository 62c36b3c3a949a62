"""Our connection without a socket: pieces of bytes in, all written bytes out."""

import asyncio
from collections.abc import Iterable

import uvloop

from flywheel_serving.http.connection import Connection
from flywheel_serving.http.http_server import HttpServer
from tests.serving.oracle.servers import LIMITS, echo


class MemoryTransport(asyncio.Transport):
    """A transport whose client reads everything."""

    def __init__(self) -> None:
        super().__init__()
        self.content = bytearray()
        self.ended = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self.ended:
            self.content += data

    def is_closing(self) -> bool:
        return self.ended

    def close(self) -> None:
        self.ended = True

    def abort(self) -> None:
        self.ended = True

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def pause_reading(self) -> None:
        pass  # further pieces arrive, as bytes do that were read before

    def resume_reading(self) -> None:
        pass


def exchange_in_memory(pieces: Iterable[bytes]) -> tuple[bytes, bool]:
    """The written bytes, and whether our side closed the connection."""

    async def run() -> tuple[bytes, bool]:
        transport = MemoryTransport()
        connection = Connection(HttpServer(echo, LIMITS))
        connection.connection_made(transport)
        for piece in pieces:
            connection.data_received(piece)
        connection.connection_lost(None)
        return bytes(transport.content), transport.ended

    return uvloop.run(run())

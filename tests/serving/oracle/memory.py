"""Our connection without a socket: pieces of bytes in, all that it writes out."""

import asyncio
from collections.abc import Iterable

import uvloop

from flywheel_serving.http.connection import Connection
from flywheel_serving.http.server import HttpServer
from tests.serving.oracle.servers import LIMITS, echo


class Written(asyncio.Transport):
    """Takes all that is written, as a client that reads does."""

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
        pass  # the pieces come all the same, as bytes do that were read before

    def resume_reading(self) -> None:
        pass


def converse(pieces: Iterable[bytes]) -> tuple[bytes, bool]:
    """What was written, and whether our side ended the connection."""

    async def talk() -> tuple[bytes, bool]:
        transport = Written()
        connection = Connection(HttpServer(echo, LIMITS))
        connection.connection_made(transport)
        for piece in pieces:
            connection.data_received(piece)
        connection.connection_lost(None)
        return bytes(transport.content), transport.ended

    return uvloop.run(talk())

"""The server's side of the connection to the sink."""

import asyncio
import tempfile
from pathlib import Path

from flywheel_serving.prediction_log.metrics import LogMetrics
from flywheel_serving.prediction_log.sink_connection import SinkConnection

GREETING, MESSAGE = b"g" * 3_000_000, b"message"  # more than a socket's buffer


async def send_to_sink(path: Path) -> bytes:
    """What a sink receives that starts to read late."""
    received = asyncio.get_running_loop().create_future()

    async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.1)
        received.set_result(await reader.read(-1))
        writer.close()

    async with await asyncio.start_unix_server(receive, path):
        connection = SinkConnection(str(path), GREETING, LogMetrics(), lambda: None, lambda _acknowledgement: None)
        connection.start()
        assert connection.send(MESSAGE, 1)
        await connection.close(20)
        return bytes(await received)


def test_a_greeting_that_the_socket_does_not_take_at_once_is_sent_whole() -> None:
    with tempfile.TemporaryDirectory(prefix="sink-") as folder:
        received = asyncio.run(send_to_sink(Path(folder, "sock")))

    assert received == GREETING + MESSAGE

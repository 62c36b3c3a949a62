"""A Service on a loopback port, as its clients see it: each connection may reach another pod.

`kubectl port-forward` leads to one pod and breaks when that goes. Here each connection to the port becomes one to the Service's own
address, which the node spreads over the pods that are ready. The native cluster's node alone reaches that address.
"""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

CHUNK = 64 * 1024


@contextmanager
def service(address: str, port: int) -> Iterator[int]:
    """The loopback port, while the relay runs in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def start() -> asyncio.Server:
        return await asyncio.start_server(lambda reader, writer: _relay(reader, writer, address, port), "127.0.0.1", 0)

    server = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        asyncio.run_coroutine_threadsafe(_stop(server), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        with suppress(RuntimeError):
            loop.close()


async def _stop(server: asyncio.Server) -> None:
    """Ends the connections that are open too: what a later collection of garbage finds open fails the test that runs then."""
    server.close()
    relays = asyncio.all_tasks() - {asyncio.current_task()}
    for relay in relays:
        relay.cancel()
    await asyncio.gather(*relays, return_exceptions=True)
    await asyncio.sleep(0)  # for the transports to close their sockets


async def _relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: str, port: int) -> None:
    """A pod that refuses or resets is shown to the client as a connection that ends: nothing is tried again."""
    try:
        inner, outer = await asyncio.wait_for(asyncio.open_connection(address, port), 10)
        try:
            await asyncio.gather(_copy(reader, outer), _copy(inner, writer))
        finally:
            outer.close()
    except (OSError, TimeoutError):
        pass
    finally:
        writer.close()


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(CHUNK):
            sink.write(data)
            await sink.drain()
    sink.close()

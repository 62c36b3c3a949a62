"""Connections that come from another address of the loopback network: to the server, another client."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

CHUNK_BYTES = 65_536


@contextmanager
def relay(port: int, source: str) -> Iterator[str]:
    """The address of a port whose connections go on to `port` from `source`, until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener, contextlib.ExitStack() as stack:
        thread = threading.Thread(target=_accept, args=(listener, port, source, stack), daemon=True)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def _accept(listener: socket.socket, port: int, source: str, stack: contextlib.ExitStack) -> None:
    with contextlib.suppress(OSError):
        while True:
            client = stack.enter_context(listener.accept()[0])
            server = stack.enter_context(socket.create_connection(("127.0.0.1", port), 20, (source, 0)))
            for pair in ((client, server), (server, client)):
                threading.Thread(target=_copy, args=pair, daemon=True).start()


def _copy(read: socket.socket, write: socket.socket) -> None:
    with contextlib.suppress(OSError):
        read.settimeout(None)
        while data := read.recv(CHUNK_BYTES):
            write.sendall(data)
    with contextlib.suppress(OSError):
        write.shutdown(socket.SHUT_WR)

"""The loopback port of stories that end while their clients are still connected."""

import gc
import socket

from e2e import loopback


def test_connections_that_are_open_at_its_end_are_closed_on_both_sides() -> None:
    with socket.create_server(("127.0.0.1", 0)) as service:
        with loopback.service(*service.getsockname()) as port:
            client = socket.create_connection(("127.0.0.1", port), 5)
            client.sendall(b"hello")
            pod, _ = service.accept()
            pod.settimeout(5)
            assert pod.recv(16) == b"hello"

        with client, pod:
            assert (client.recv(16), pod.recv(16)) == (b"", b"")

    gc.collect()  # reports what was left open, which fails this test

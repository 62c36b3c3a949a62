"""A TCP proxy on loopback that does one bad thing to each connection, in order, and none to those after."""

import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, field

_BODY = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
SLOW_DOWN = b"HTTP/1.1 503 Slow Down\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(_BODY), _BODY)


@dataclass(frozen=True)
class Fault:
    """`cut_*`: close after so many bytes; `hold_up`: pass no more than that, and stay open; `flip_*`: change the byte at this offset; `answer`: say this and close."""

    cut_up: int | None = None
    hold_up: int | None = None
    cut_down: int | None = None
    flip_up: int | None = None
    flip_down: int | None = None
    answer: bytes | None = None


@dataclass
class Proxy:
    faults: list[Fault] = field(default_factory=list)
    connections: int = 0
    endpoint: str = ""
    bytes_up: int = 0
    bytes_down: int = 0
    held: threading.Event = field(default_factory=threading.Event)
    _released: threading.Event = field(default_factory=threading.Event)

    def start(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        self._released.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            fault = self.faults.pop(0) if self.faults else Fault()
            if fault.answer:
                client.recv(65536)
                client.sendall(fault.answer)
                client.close()
                continue
            server = socket.create_connection(("127.0.0.1", self._target))
            for up in (True, False):
                threading.Thread(target=self._pump, args=(client, server, fault, up), daemon=True).start()

    def _pump(self, client: socket.socket, server: socket.socket, fault: Fault, up: bool) -> None:
        source, sink = (client, server) if up else (server, client)
        passed = 0
        with suppress(OSError):
            while data := bytearray(source.recv(65536)):
                flip = fault.flip_up if up else fault.flip_down
                if flip is not None and passed <= flip < passed + len(data):
                    data[flip - passed] ^= 1
                most = fault.cut_up if up else fault.cut_down
                if most is not None and passed + len(data) >= most:
                    sink.sendall(data[: most - passed])
                    break
                if up and fault.hold_up is not None and passed + len(data) >= fault.hold_up:
                    self.held.set()
                    self._released.wait()
                    break
                sink.sendall(data)
                passed += len(data)
                self.bytes_up += len(data) if up else 0
                self.bytes_down += 0 if up else len(data)
        for end in (client, server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

"""/livez, /readyz and /metrics on a thread of its own, so that a stuck event loop can still be asked, and is then found stuck."""

import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import generate_latest

from flywheel.engine import metrics

MAX_LOOP_LAG_SECONDS = 10.0  # seconds: the event loop answers nobody
MAX_RECONCILE_SECONDS = 900.0  # seconds: a worker is stuck


class Health:
    """What the rest of the engine tells about itself."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._beat = clock()
        self.ready = False  # caches are warm
        self.oldest_look: Callable[[], float] = lambda: 0.0  # seconds

    def beat(self, lag: float) -> None:
        """The event loop is alive, and so many seconds late."""
        self._beat = self._clock()
        metrics.loop_lag.set(lag)

    def livez(self) -> tuple[int, str]:
        """Restart this process?"""
        silent, look = self._clock() - self._beat, self.oldest_look()
        if silent > MAX_LOOP_LAG_SECONDS:
            return 500, f"the event loop has not answered for {silent:.0f} s"
        if look > MAX_RECONCILE_SECONDS:
            return 500, f"a worker has looked at one resource for {look:.0f} s"
        return 200, "ok"

    def readyz(self) -> tuple[int, str]:
        """Could this process lead? True for the follower as well: its caches are warm."""
        return (200, "ok") if self.ready else (503, "the caches are not warm yet")


def serve(health: Health, address: str) -> ThreadingHTTPServer:
    """Answer on `host:port` (`:8080` is every address) until `shutdown()`.

    Raises:
        OSError: the port is taken.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            routes: dict[str, Callable[[], tuple[int, str]]] = {
                "/livez": health.livez,
                "/readyz": health.readyz,
                "/metrics": lambda: (200, generate_latest(metrics.REGISTRY).decode()),
            }
            status, text = routes.get(self.path.split("?")[0], lambda: (404, "ask for /livez, /readyz or /metrics"))()
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Probes are not news."""

    host, _, port = address.rpartition(":")
    server = ThreadingHTTPServer((host, int(port)), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server
